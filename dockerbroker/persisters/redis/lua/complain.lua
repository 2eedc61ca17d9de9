-- Records why the Docker of a host cannot be used; an empty text says that it can.

local name = key('host', given.id)
if redis.call('EXISTS', name) == 1 then
  if given.complaint == '' then
    redis.call('HDEL', name, 'complaint')
  else
    redis.call('HSET', name, 'complaint', given.complaint)
  end
end
return { 'done' }
