-- Finds what is known of every host and what is reserved there, what time it is, and when brokers have been there.

local hosts, reserved = {}, base .. 'reserved'
for _, id in ipairs(redis.call('SMEMBERS', base .. 'hosts')) do
  local row = redis.call(
    'HMGET', key('host', id),
    'service_host', 'docker_host', 'docker_port', 'document', 'vitals', 'sessions', 'state', 'is_cordoned', 'is_draining',
    'pinged_at', 'state_at', 'complaint'
  )
  if row[1] then
    table.insert(row, 1, id)
    row[#row + 1] = field(reserved, id) or false
    hosts[#hosts + 1] = row
  end
end
local seen = redis.call('HMGET', deployment, 'observing_since', 'observed_at')
return { 'found', hosts, time(now()), seen[1] or '', seen[2] or '' }
