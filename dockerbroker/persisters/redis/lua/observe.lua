-- Records that a broker is there now to hear pings; `model.hosts.observed` says the same in Python.

local now = now()
local stored = redis.call('HMGET', deployment, 'observed_at', 'observing_since')
local at, since = tonumber(stored[1]), stored[2]
if not at or now - at > tonumber(given.gap) or at - now > tonumber(given.rounding) then
  at, since = now, time(now)
  -- What was heard before the clock went back would be young until it is as late again.
  for _, id in ipairs(redis.call('SMEMBERS', base .. 'hosts')) do
    local name = key('host', id)
    if (tonumber(field(name, 'pinged_at')) or now) > now + tonumber(given.gap) then
      redis.call('HSET', name, 'pinged_at', since)
    end
  end
end
redis.call('HSET', deployment, 'observed_at', time(math.max(at, now)), 'observing_since', since)
return { 'observed' }
