-- Removes the certificate of a host.

if is_closed() then
  return { 'closed' }
end
if given.before and not is_as_before(key('certificate', given.host), given.before) then
  return { 'moved' }
end
if redis.call('ZREM', base .. 'certificates', given.host) == 0 then
  return { 'unknown' }
end
redis.call('DEL', key('certificate', given.host))
audit(given.audit)
return { 'done' }
