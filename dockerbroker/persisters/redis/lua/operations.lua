-- Finds operations, those that were begun last first: all, the unfinished, or those on one thing.

local name = base .. (given.unfinished and 'unfinished' or 'operations')
if given.id then
  name = history(given.id, given.binding)
end
return { 'found', records('operation', redis.call('ZREVRANGE', name, 0, given.limit - 1)) }
