-- Finds operations, those that were begun last first: all, the unfinished, or those on one thing; perhaps
-- only those that were begun before one that is known.

local name = base .. (given.unfinished and 'unfinished' or 'operations')
if given.id then
  name = history(given.id, given.binding)
end
if not given.before then
  return { 'found', records('operation', redis.call('ZREVRANGE', name, 0, given.limit - 1)) }
end
local number = field(key('operation', given.before), 'number')
if not number then
  return { 'found', {} }
end
local ids = redis.call('ZRANGE', name, '(' .. number, '-inf', 'BYSCORE', 'REV', 'LIMIT', 0, given.limit)
return { 'found', records('operation', ids) }
