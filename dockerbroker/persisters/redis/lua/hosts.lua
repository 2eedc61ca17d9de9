-- Finds every host, what time it is, and when brokers have been there.

local seen = redis.call('HMGET', deployment, 'observing_since', 'observed_at')
local hosts = records('host', redis.call('SMEMBERS', base .. 'hosts'))
return { 'found', hosts, time(now()), seen[1] or '', seen[2] or '' }
