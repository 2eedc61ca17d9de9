-- Finds what hosts are judged by, what time it is, and when brokers have been there.

local columns = {
  'service_host', 'docker_host', 'docker_port', 'document', 'pinged_at', 'state', 'state_at',
}
local lives = {}
for _, id in ipairs(redis.call('SMEMBERS', base .. 'hosts')) do
  local row = {}
  for i, value in ipairs(redis.call('HMGET', key('host', id), unpack(columns))) do
    row[columns[i]] = value or nil
  end
  lives[#lives + 1] = row
end
local seen = redis.call('HMGET', deployment, 'observing_since', 'observed_at')
return { 'found', lives, time(now()), seen[1] or '', seen[2] or '' }
