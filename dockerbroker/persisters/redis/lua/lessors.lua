-- Finds the hosts that have leased ports to instances.

local seen, hosts = {}, {}
for _, id in ipairs(redis.call('ZRANGE', base .. 'instances', 0, -1)) do
  local row = redis.call('HMGET', key('instance', id), 'host', 'ports', 'there', 'ports_there')
  for i = 1, 4, 2 do
    if row[i] and row[i + 1] ~= '' and not seen[row[i]] then
      seen[row[i]] = true
      hosts[#hosts + 1] = row[i]
    end
  end
end
return { 'found', hosts }
