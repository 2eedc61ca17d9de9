-- Prolongs the leases of an owner, and returns which of the operations are cancelled.

local lease_until, cancelled = time(now() + given.ttl), {}
for _, id in ipairs(redis.call('SMEMBERS', key('owner', given.owner))) do
  lease(id, given.owner, lease_until)
  if field(operation_key(id), 'is_cancelled') == '1' then
    cancelled[#cancelled + 1] = id
  end
end
return { 'renewed', cancelled }
