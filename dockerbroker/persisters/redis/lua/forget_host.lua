-- Deletes what is known of a host.

if redis.call('DEL', key('host', given.id)) == 0 then
  return { 'unknown' }
end
redis.call('SREM', base .. 'hosts', given.id)
audit(given.audit)
return { 'done' }
