-- Deletes some of the records of a database that is being filled, and tells whether there are more.

if (field(deployment, 'mover') or '') ~= given.mover then
  return { 'held' }
end
if field(deployment, 'closed') ~= 'filling' then
  return { 'refused' }
end

local last = tonumber(given.limit) - 1

local function each(name, erase)
  local ids = redis.call('ZRANGE', base .. name, 0, last)
  for _, id in ipairs(ids) do
    erase(id)
    redis.call('ZREM', base .. name, id)
  end
  return ids[1] ~= nil
end

local function erase_operation(id)
  local row = redis.call('HMGET', operation_key(id), 'instance_id', 'binding_id', 'number')
  lease(id, false, false)
  redis.call('DEL', operation_key(id), history(row[1], row[2]))
  redis.call('ZREM', base .. 'finished', string.format('%016d:', row[3]) .. id)
end

local function erase_image(name)
  redis.call('DEL', key('image', name))
  redis.call('HINCRBY', deployment, 'catalog', 1)
end

local function erase_certificate(host)
  redis.call('DEL', key('certificate', host))
end

local function erase_credential(id)
  redis.call('DEL', key('credential', id))
end

local function erase_tombstone(id)
  redis.call('DEL', key('tombstone', id))
end

local is_more = each('operations', erase_operation)
  or each('instances', remove_instance)
  or each('images', erase_image)
  or each('certificates', erase_certificate)
  or each('credentials', erase_credential)
  or each('tombstones', erase_tombstone)
if not is_more then
  redis.call('HDEL', deployment, 'credentials')
  redis.call('DEL', base .. 'audit', base .. 'audit_head')
  for _, id in ipairs(redis.call('SMEMBERS', base .. 'hosts')) do
    redis.call('DEL', key('host', id))
    redis.call('SREM', base .. 'hosts', id)
  end
end
return { 'done', is_more and '1' or '0' }
