-- Finds what the database holds, whether brokers may use it, and which leases are held.

local some = 10000

local function size(name)
  local found, ids = 0, nil
  repeat
    ids = redis.call('ZRANGE', name, found, found + some - 1)
    found = found + #ids
  until #ids < some
  return tostring(found)
end

local now, leases = now(), {}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', base .. 'leases', '(' .. time(now), '(' .. given.never)) do
  local row = redis.call('HMGET', key('operation', id), 'owner', 'lease_until')
  if row[1] and #leases < tonumber(given.limit) then
    leases[#leases + 1] = { id = id, owner = row[1], lease_until = row[2] }
  end
end
return {
  'found',
  record(deployment),
  { images = size(base .. 'images'), instances = size(base .. 'instances'), operations = size(base .. 'operations') },
  time(now),
  leases,
}
