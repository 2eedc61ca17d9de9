-- Finds what is reserved on each host that has instances.

local flat, rows = redis.call('HGETALL', base .. 'reserved'), {}
for i = 1, #flat, 2 do
  rows[#rows + 1] = { flat[i], flat[i + 1] }
end
return { 'found', rows }
