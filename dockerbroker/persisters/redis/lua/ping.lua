-- Stores hosts, alive now.

local now = time(now())
for _, host in ipairs(given.hosts) do
  host.row.pinged_at = now
  put(key('host', host.id), host.row)
  redis.call('SADD', base .. 'hosts', host.id)
end
return { 'stored' }
