-- Deletes the oldest records of the audit log, up to one that is not the last one of all.

local first = tonumber(field(base .. 'audit_head', 'first') or '1')
local until_then, deleted = tonumber(given.last), 0
for number = first, until_then do
  deleted = deleted + redis.call('HDEL', base .. 'audit', string.format('%.0f', number))
end
if until_then >= first then
  redis.call('HSET', base .. 'audit_head', 'first', string.format('%.0f', until_then + 1))
end
return { 'done', tostring(deleted) }
