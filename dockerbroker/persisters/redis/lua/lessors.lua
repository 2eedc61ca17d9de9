-- Finds the hosts that have leased ports to instances.

local seen, hosts = {}, {}
for _, id in ipairs(redis.call('ZRANGE', base .. 'instances', 0, -1)) do
  local row = redis.call('HMGET', key('instance', id), 'host', 'ports')
  if row[1] and row[2] ~= '' and not seen[row[1]] then
    seen[row[1]] = true
    hosts[#hosts + 1] = row[1]
  end
end
return { 'found', hosts }
