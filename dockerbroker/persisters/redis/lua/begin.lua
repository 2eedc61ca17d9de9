-- Writes a new operation with what it needs. The superseded operation, if any, is given as it was read and as
-- it is to be written; `moved` tells that it is not any more as it was read.

local operation, instance, binding = given.operation, given.instance, given.binding
local name, holder = operation_key(operation.id), key('instance', operation.instance_id)

local function is_bound()
  return redis.call('EXISTS', pair('binding', operation.instance_id, operation.binding_id)) == 1
end

local function superseded()
  local row = redis.call('HMGET', operation_key(given.supersedes.id), 'lease_until', 'epoch', 'document')
  if not row[1] then
    return 'ended'
  end
  return (row[2] ~= given.supersedes.epoch or row[3] ~= given.supersedes.document) and 'moved'
end

-- Whether nothing may be placed on the host of a new instance.
local function is_unfit(host)
  local known = redis.call('HMGET', key('host', host), 'state', 'is_cordoned')
  return known[2] == '1' or (known[1] and known[1] ~= 'alive')
end

local function taken()
  local stored = redis.call('HMGET', holder, 'id', 'operation_id', 'last_operation_id')
  if given.kind == 'provision' then
    return stored[1] and 'instance'
  end
  if not stored[1] or stored[2] ~= (given.supersedes and given.supersedes.id or false) then
    return 'busy'
  end
  -- What is about to be written was decided on the instance as this operation left it.
  if instance and stored[3] ~= given.last_operation_id then
    return 'busy'
  end
  if given.kind == 'bind' then
    return is_bound() and 'binding'
  end
  return given.kind == 'unbind' and not is_bound() and 'unbound'
end

local refusal = (is_closed() and 'closed')
  or (given.supersedes and superseded())
  or taken()
  or (redis.call('EXISTS', name) == 1 and 'operation')
  or (instance and not given.remove_instance and is_port_leased(instance) and 'port')
  or (given.place and is_unfit(given.place) and 'unfit')
  or (instance and not given.remove_instance and has_neighbour(instance) and 'full')
  or (instance and not given.remove_instance and given.most and is_full(instance, given.most) and 'full')
if refusal then
  return { refusal }
end

local now, former = now(), not operation.binding_id and last_of(operation.instance_id)
local lease_until = operation.is_over == '0' and time(now + given.ttl)
if given.supersedes then
  put(operation_key(given.supersedes.id), given.supersedes.row)
  finish(given.supersedes.id)
end
operation.number = tostring(redis.call('HINCRBY', deployment, 'number', 1))
operation.deadline = time(now + given.within)
local owner = operation.owner
operation.owner = false
put(name, operation)
redis.call('ZADD', base .. 'operations', operation.number, operation.id)
redis.call('ZADD', history(operation.instance_id, operation.binding_id), operation.number, operation.id)
if given.kind ~= 'provision' then
  put(holder, { operation_id = operation.id, last_operation_id = operation.id })
end
write(given, operation)
let_go(former)
if lease_until then
  redis.call('ZADD', base .. 'unfinished', operation.number, operation.id)
  lease(operation.id, owner, lease_until)
else
  finish(operation.id)
end
audit(given.audit)
return { 'done', operation.deadline }
