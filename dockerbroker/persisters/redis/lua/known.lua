-- Finds which operations there are.

local known = {}
for _, id in ipairs(given.ids) do
  if redis.call('EXISTS', key('operation', id)) == 1 then
    known[#known + 1] = id
  end
end
return { 'found', known }
