-- What the changes of operations share.

-- The records are in another database, or on their way there.
local function is_closed()
  return (field(deployment, 'closed') or '') ~= ''
end

-- Whether a record has what it had when it was read; nothing of one that was not there.
local function is_as_before(name, before)
  local stored = redis.call('HMGET', name, 'document', 'secret')
  return (stored[1] or nil) == before.document and (stored[2] or nil) == before.secret
end

local function operation_key(id)
  return key('operation', id)
end

-- The last operation on the instance itself.
local function last_of(instance_id)
  return redis.call('ZREVRANGE', history(instance_id), 0, 0)[1]
end

-- From now on the operation may be forgotten, if it is over. Those that were over at the same time are in the
-- order in which they were begun.
local function let_go(id)
  local row = id and redis.call('HMGET', operation_key(id), 'number', 'is_over', 'finished_at')
  if row and row[2] == '1' and row[3] then
    redis.call('ZADD', base .. 'finished', row[3], string.format('%016d:', row[1]) .. id)
  end
end

-- The operation may be carried until then, or waits so long; with false it is over.
local function lease(id, owner, lease_until)
  local before = field(operation_key(id), 'owner')
  if before and before ~= owner then
    redis.call('SREM', key('owner', before), id)
  end
  if owner and before ~= owner then
    redis.call('SADD', key('owner', owner), id)
  end
  put(operation_key(id), { owner = owner, lease_until = lease_until })
  if lease_until then
    redis.call('ZADD', base .. 'leases', lease_until, id)
  else
    redis.call('ZREM', base .. 'leases', id)
    redis.call('ZREM', base .. 'unfinished', id)
  end
end

-- Ends an operation; whether it may be forgotten depends on its instance, which must have been written.
local function finish(id)
  lease(id, false, false)
  local row = redis.call('HMGET', operation_key(id), 'instance_id', 'binding_id')
  if row[2] or last_of(row[1]) ~= id or redis.call('EXISTS', key('instance', row[1])) == 0 then
    let_go(id)
  end
end

-- What an instance holds of its host, and while it moves of the one to which it moves.
local held_columns = {
  'host', 'ports', 'reserved', 'lonely_place',
  'there', 'ports_there', 'reserved_there', 'lonely_place_there',
}

local function holdings(row)
  local found = {}
  for i = 1, 8, 4 do
    local host = row[held_columns[i]]
    if host then
      found[#found + 1] = {
        host = host,
        ports = row[held_columns[i + 1]],
        reserved = row[held_columns[i + 2]],
        lonely_place = row[held_columns[i + 3]],
      }
    end
  end
  return found
end

local function held_by(id)
  local row = {}
  for i, value in ipairs(redis.call('HMGET', key('instance', id), unpack(held_columns))) do
    row[held_columns[i]] = value
  end
  return row
end

-- Whether another instance has one of the ports that this one is to have.
local function is_port_leased(instance)
  for _, held in ipairs(holdings(instance)) do
    for port in string.gmatch(held.ports, '%d+') do
      local holder = field(key('ports', held.host), port)
      if holder and holder ~= instance.id then
        return true
      end
    end
  end
  return false
end

local function lease_ports(id, held)
  for port in string.gmatch(held.ports, '%d+') do
    redis.call('HSET', key('ports', held.host), port, id)
  end
end

local function give_up_ports(held)
  for port in string.gmatch(held.ports, '%d+') do
    redis.call('HDEL', key('ports', held.host), port)
  end
end

-- What an instance reserves by its record, in the order in which the sums of a host stand in their text.
local function reserved_by(text)
  local one = cjson.decode(text)
  return { one.memory, one.cpus, #one.ports, one.instances }
end

-- What all instances of a host reserve.
local function reserved_on(host)
  local sums = { 0, 0, 0, 0 }
  local i = 0
  for number in string.gmatch(field(base .. 'reserved', host) or '', '%d+') do
    i = i + 1
    sums[i] = tonumber(number)
  end
  return sums
end

-- Changes the sums of a host by what an instance reserves.
local function reserve(host, text, sign)
  local sums, more, is_empty = reserved_on(host), reserved_by(text), true
  for i = 1, 4 do
    local sum = sums[i] + sign * more[i]
    is_empty = is_empty and sum == 0
    sums[i] = string.format('%.0f', sum)
  end
  if is_empty then
    redis.call('HDEL', base .. 'reserved', host)
  else
    redis.call('HSET', base .. 'reserved', host, table.concat(sums, ' '))
  end
end

-- Whether more would be reserved on one of the instance's hosts than may be; nothing more of a thing is never
-- too much.
local function is_full(instance, most)
  local before = holdings(held_by(instance.id))
  for _, held in ipairs(holdings(instance)) do
    local sums, wanted, had = reserved_on(held.host), reserved_by(held.reserved), { 0, 0 }
    for _, one in ipairs(before) do
      had = one.host == held.host and reserved_by(one.reserved) or had
    end
    for i, name in ipairs({ 'memory', 'cpus' }) do
      local more = wanted[i] - had[i]
      if more > 0 and sums[i] + more > tonumber(most[name]) then
        return true
      end
    end
  end
  return false
end

-- Whether another instance has a place that this one must have for itself.
local function has_neighbour(instance)
  for _, held in ipairs(holdings(instance)) do
    local holder = held.lonely_place and field(base .. 'lonely_places', held.lonely_place)
    if holder and holder ~= instance.id then
      return true
    end
  end
  return false
end

-- Puts an instance where it has its place, or is to have one. No host has a line break in its text.
local function settle(id, neighbourhood, held)
  local hosts = {}
  for i, one in ipairs(held) do
    hosts[i] = one.host
    if one.lonely_place then
      redis.call('HSET', base .. 'lonely_places', one.lonely_place, id)
    end
  end
  if neighbourhood then
    redis.call('HSET', key('neighbourhood', neighbourhood), id, table.concat(hosts, '\n'))
  end
end

local function leave(id, neighbourhood, held)
  if neighbourhood then
    redis.call('HDEL', key('neighbourhood', neighbourhood), id)
  end
  for _, one in ipairs(held) do
    if one.lonely_place then
      redis.call('HDEL', base .. 'lonely_places', one.lonely_place)
    end
  end
end

-- Counts the instances of each image.
local function count(image_name, difference)
  if redis.call('HINCRBY', base .. 'uses', image_name, difference) == 0 then
    redis.call('HDEL', base .. 'uses', image_name)
  end
end

local function remove_binding(instance_id, id)
  redis.call('DEL', pair('binding', instance_id, id))
  redis.call('ZREM', key('bindings', instance_id), id)
end

local function put_binding(binding)
  put(pair('binding', binding.instance_id, binding.id), binding)
  redis.call('ZADD', key('bindings', binding.instance_id), 0, binding.id)
end

local function remove_instance(id)
  local stored = record(key('instance', id))
  if not stored then
    return
  end
  for _, binding_id in ipairs(redis.call('ZRANGE', key('bindings', id), 0, -1)) do
    remove_binding(id, binding_id)
  end
  local held = holdings(stored)
  for _, one in ipairs(held) do
    give_up_ports(one)
    reserve(one.host, one.reserved, -1)
  end
  leave(id, stored.neighbourhood, held)
  count(stored.image_name, -1)
  redis.call('DEL', key('instance', id))
  redis.call('ZREM', base .. 'instances', id)
  redis.call('HDEL', base .. 'conditions', id)
  let_go(last_of(id))
end

local function is_held_alike(before, after)
  for _, column in ipairs(held_columns) do
    if (before[column] or '') ~= (after[column] or '') then
      return false
    end
  end
  return true
end

-- A new one is held by the operation.
local function put_instance(instance, operation_id)
  local name = key('instance', instance.id)
  local stored, before = redis.call('HMGET', name, 'image_name', 'neighbourhood'), held_by(instance.id)
  local is_new = not stored[1]
  if is_new then
    redis.call('ZADD', base .. 'instances', 0, instance.id)
    instance.operation_id, instance.last_operation_id = operation_id, operation_id
  end
  put(name, instance)
  if not is_held_alike(before, instance) then
    for _, held in ipairs(holdings(before)) do
      give_up_ports(held)
      reserve(held.host, held.reserved, -1)
    end
    for _, held in ipairs(holdings(instance)) do
      lease_ports(instance.id, held)
      reserve(held.host, held.reserved, 1)
    end
  end
  leave(instance.id, stored[2], holdings(before))
  settle(instance.id, instance.neighbourhood, holdings(instance))
  if stored[1] ~= instance.image_name then
    if not is_new then
      count(stored[1], -1)
    end
    count(instance.image_name, 1)
  end
end

-- Writes the records of a change, but for the operation's own.
local function write(change, operation)
  if change.remove_instance then
    remove_instance(operation.instance_id)
    return
  end
  if change.instance then
    put_instance(change.instance, operation.id)
  end
  if change.binding then
    put_binding(change.binding)
  end
  if change.remove_binding then
    remove_binding(operation.instance_id, change.remove_binding)
  end
  local instance = key('instance', operation.instance_id)
  if operation.is_over == '1' and field(instance, 'operation_id') == operation.id then
    redis.call('HDEL', instance, 'operation_id')
  end
end
