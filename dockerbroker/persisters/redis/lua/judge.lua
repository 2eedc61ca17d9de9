-- Gives hosts other states, unless they have pinged or were judged since.

local now, changed = time(now()), {}

local function is_as_known(stored, known)
  return not stored or (known and tonumber(stored) <= tonumber(known) + 0.0005)
end

for _, verdict in ipairs(given.verdicts) do
  local name = key('host', verdict.id)
  local stored = redis.call('HMGET', name, 'state', 'pinged_at', 'state_at')
  if stored[1] == verdict.before
    and is_as_known(stored[2], verdict.pinged_at)
    and is_as_known(stored[3], verdict.state_at)
  then
    redis.call('HSET', name, 'state', verdict.state, 'state_at', now)
    changed[#changed + 1] = verdict.id
  end
end
return { 'done', changed }
