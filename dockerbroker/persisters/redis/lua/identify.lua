-- Gives a database without instances and operations another identity.

if (field(deployment, 'mover') or '') ~= given.mover then
  return { 'held' }
end
for _, name in ipairs({ 'instances', 'operations' }) do
  if redis.call('ZRANGE', base .. name, 0, 0)[1] then
    return { 'held', name }
  end
end
put(deployment, given.identity)
return { 'done' }
