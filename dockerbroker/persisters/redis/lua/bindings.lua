-- Finds the bindings of an instance, in the order of the ids.

local rows = {}
for _, id in ipairs(redis.call('ZRANGE', key('bindings', given.id), 0, -1)) do
  rows[#rows + 1] = record(pair('binding', given.id, id))
end
return { 'found', rows }
