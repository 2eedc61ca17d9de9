-- Records that an instance was to be deleted which does not exist, and forgets what was recorded long ago.

if is_closed() then
  return { 'closed' }
end
local now, index = now(), base .. 'tombstones'
for _, id in ipairs(redis.call('ZRANGEBYSCORE', index, '-inf', '(' .. time(now - given.kept))) do
  redis.call('DEL', key('tombstone', id))
  redis.call('ZREM', index, id)
end
put(key('tombstone', given.id), { instance_id = given.id, id = given.tombstone, at = time(now) })
redis.call('ZADD', index, time(now), given.id)
return { 'recorded' }
