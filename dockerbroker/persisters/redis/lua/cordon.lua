-- Lets nothing be placed on a host, or lets it again.

local name = key('host', given.id)
if redis.call('EXISTS', name) == 0 then
  return { 'unknown' }
end
redis.call('HSET', name, 'is_cordoned', given.is_cordoned)
if given.is_cordoned == '0' then
  redis.call('HSET', name, 'is_draining', '0')
end
audit(given.audit)
return { 'done' }
