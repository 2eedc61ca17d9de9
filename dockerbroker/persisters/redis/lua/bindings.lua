-- Finds the bindings of an instance, in the order of the ids, perhaps only some of those after one.

local rows, after = {}, given.after == '' and '-' or '(' .. given.after
local ids = redis.call('ZRANGEBYLEX', key('bindings', given.id), after, '+', 'LIMIT', 0, given.limit or -1)
for _, id in ipairs(ids) do
  rows[#rows + 1] = record(pair('binding', given.id, id))
end
return { 'found', rows }
