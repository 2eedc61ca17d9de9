-- Takes over those of the given operations whose lease is still lapsed, and returns them.

local now = now()
local lapsed, claimed = time(now), {}
for _, id in ipairs(given.ids) do
  local until_then = redis.call('ZSCORE', base .. 'leases', id)
  if until_then and tonumber(until_then) <= tonumber(lapsed) then
    lease(id, given.owner, time(now + given.ttl))
    redis.call('HINCRBY', operation_key(id), 'epoch', 1)
    claimed[#claimed + 1] = record(operation_key(id))
  end
end
return { claimed[1] and 'done' or 'none', claimed }
