-- Adds or replaces definitions of the catalog, if it is as it was when that was decided.

if given.seeding and field(deployment, 'seeded') == '1' then
  return { 'seeded' }
end
if is_closed() then
  return { 'closed' }
end
if (field(deployment, 'catalog') or '0') ~= given.catalog then
  return { 'moved' }
end
local added = '0'
for _, row in ipairs(given.rows) do
  added = redis.call('ZADD', base .. 'images', 0, row.name) == 1 and '1' or added
  put(key('image', row.name), row)
end
redis.call('HINCRBY', deployment, 'catalog', 1)
if given.seeding then
  redis.call('HSET', deployment, 'seeded', '1')
end
audit(given.audit)
return { 'done', added }
