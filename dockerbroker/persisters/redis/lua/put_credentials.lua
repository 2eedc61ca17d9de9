-- Adds or replaces credentials; those that seed the database only before all others.

if given.seeding and (field(deployment, 'credentials') or '0') ~= '0' then
  return { 'seeded' }
end
if is_closed() then
  return { 'closed' }
end
local added = '0'
for _, row in ipairs(given.rows) do
  added = redis.call('ZADD', base .. 'credentials', 0, row.id) == 1 and '1' or added
  put(key('credential', row.id), row)
end
redis.call('HINCRBY', deployment, 'credentials', 1)
audit(given.audit)
return { 'done', added }
