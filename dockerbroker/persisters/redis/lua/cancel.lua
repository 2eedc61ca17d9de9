-- Asks whoever carries the operation to undo it.

if is_closed() then
  return { 'closed' }
end
if not field(operation_key(given.id), 'lease_until') then
  return { 'over' }
end
put(operation_key(given.id), { is_cancelled = '1' })
audit(given.audit)
return { 'done' }
