-- How a script that changes something ends.
--
-- A caller that has lost the answer sends its change again, and the change must not be made twice. ARGV[2] is
-- the caller's lane, in which it makes one change after the other, and ARGV[3] the number of the change in it:
-- what was answered to the last one of each lane is kept for as long as anybody may ask. Only those that say
-- `done` need it; what was refused has changed nothing, and what says something else may be made twice.
--
-- ARGV[4] is the time of this server after which nobody waits for the change any more. What arrives later,
-- from a connection that was given up, must not be made: the caller has gone on since.

if redis.call('EXISTS', deployment) == 0 then
  return '["absent"]'
end

local lane, number = key('answer', ARGV[2]), tonumber(ARGV[3])
local last, answered = string.match(redis.call('GET', lane) or '0 ', '^(%d+) (.*)$')
if tonumber(last) == number then
  return answered
end
local clock = redis.call('TIME')
if tonumber(last) > number or clock[1] + clock[2] / 1000000 > tonumber(ARGV[4]) then
  return cjson.encode({ 'late', clock[1] .. '.' .. string.format('%06d', clock[2]) })
end

local outcome = run()
local answer = cjson.encode(outcome)
if outcome[1] == 'done' then
  redis.call('SET', lane, ARGV[3] .. ' ' .. answer, 'PX', 60000)
end
return answer
