-- Removes a credential, but for the last one of the role that is kept.

if is_closed() then
  return { 'closed' }
end
local role = field(key('credential', given.id), 'role')
if not role then
  return { 'unknown' }
end
if role == given.kept then
  local left = 0
  for _, id in ipairs(redis.call('ZRANGE', base .. 'credentials', 0, -1)) do
    left = left + (field(key('credential', id), 'role') == role and 1 or 0)
  end
  if left < 2 then
    return { 'last' }
  end
end
redis.call('DEL', key('credential', given.id))
redis.call('ZREM', base .. 'credentials', given.id)
redis.call('HINCRBY', deployment, 'credentials', 1)
audit(given.audit)
return { 'done' }
