-- Lets the instances of a host move, and nothing be placed on it, or lets them stay.

local name = key('host', given.id)
if redis.call('EXISTS', name) == 0 then
  return { 'unknown' }
end
redis.call('HSET', name, 'is_draining', given.is_draining)
if given.is_draining == '1' then
  redis.call('HSET', name, 'is_cordoned', '1')
end
audit(given.audit)
return { 'done' }
