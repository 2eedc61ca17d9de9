-- Tries every command that the other scripts use on a key of its own; returns those that the user may not run.

local name = base .. 'trial'
local commands = {
  { 'EXISTS', name }, { 'SET', name, '', 'PX', 1000 }, { 'GET', name }, { 'DEL', name },
  { 'HSET', name, 'a', '1' }, { 'HINCRBY', name, 'a', 1 }, { 'HGET', name, 'a' }, { 'HMGET', name, 'a' },
  { 'HGETALL', name }, { 'HKEYS', name }, { 'HDEL', name, 'a' }, { 'DEL', name },
  { 'SADD', name, 'a' }, { 'SMEMBERS', name }, { 'SREM', name, 'a' }, { 'DEL', name },
  { 'ZADD', name, 0, 'a' }, { 'ZSCORE', name, 'a' }, { 'ZRANGE', name, 0, 0 }, { 'ZREVRANGE', name, 0, 0 },
  { 'ZRANGEBYSCORE', name, 0, 0 }, { 'ZRANGEBYLEX', name, '-', '+' }, { 'ZREM', name, 'a' }, { 'TIME' },
}
local failed = {}
for _, command in ipairs(commands) do
  local outcome = redis.pcall(unpack(command))
  if type(outcome) == 'table' and outcome.err then
    failed[#failed + 1] = { command[1], outcome.err }
  end
end
return { 'found', failed }
