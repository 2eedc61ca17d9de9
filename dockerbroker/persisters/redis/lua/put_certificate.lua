-- Adds or replaces the certificate of a host.

if is_closed() then
  return { 'closed' }
end
if given.before and not is_as_before(key('certificate', given.row.host), given.before) then
  return { 'moved' }
end
put(key('certificate', given.row.host), given.row)
local added = redis.call('ZADD', base .. 'certificates', 0, given.row.host)
audit(given.audit)
return { 'done', tostring(added) }
