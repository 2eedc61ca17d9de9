-- Removes a definition that no instance has.

if is_closed() then
  return { 'closed' }
end
if given.catalog and (field(deployment, 'catalog') or '0') ~= given.catalog then
  return { 'moved' }
end
if redis.call('EXISTS', key('image', given.name)) == 0 then
  return { 'unknown' }
end
if field(base .. 'uses', given.name) then
  return { 'used' }
end
redis.call('DEL', key('image', given.name))
redis.call('ZREM', base .. 'images', given.name)
redis.call('HINCRBY', deployment, 'catalog', 1)
audit(given.audit)
return { 'done' }
