-- Finds instances whose ids come after one, in the order of the ids' bytes.

local after = given.after == '' and '-' or '(' .. given.after
local ids = redis.call('ZRANGEBYLEX', base .. 'instances', after, '+', 'LIMIT', 0, given.limit)
return { 'found', records('instance', ids) }
