-- Writes an operation's progress or outcome with the records that change with it.

local operation = given.operation
local name = operation_key(operation.id)
local stored = redis.call('HMGET', name, 'lease_until', 'epoch')
if not stored[1] or stored[2] ~= given.epoch then
  return { 'lost' }
end
if not given.remove_instance then
  if given.instance and is_port_leased(given.instance) then
    return { 'port' }
  end
  if given.instance and has_neighbour(given.instance) then
    return { 'full' }
  end
  if given.instance and given.most and is_full(given.instance, given.most) then
    return { 'full' }
  end
  local instance = key('instance', operation.instance_id)
  if given.binding and not given.instance and redis.call('EXISTS', instance) == 0 then
    return { 'binding' }
  end
end

put(name, operation)
write(given, operation)
if operation.is_over == '1' then
  finish(operation.id)
end
audit(given.audit)
return { 'done' }
