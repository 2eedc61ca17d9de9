-- Finds records of the audit log that come after a number, and where the log ends.

local head = redis.call('HMGET', base .. 'audit_head', 'number', 'hash')
local from, last = tonumber(given.after) + 1, tonumber(head[1] or '0')
local first = tonumber(field(base .. 'audit_head', 'first') or '1')
from = math.max(from, first)
local rows, numbers = {}, {}
for number = from, math.min(from + tonumber(given.limit) - 1, last) do
  numbers[#numbers + 1] = string.format('%.0f', number)
end
for i, text in ipairs(numbers[1] and redis.call('HMGET', base .. 'audit', unpack(numbers)) or {}) do
  if text then
    rows[#rows + 1] = { numbers[i], text }
  end
end
return { 'found', rows, head[1] or '0', head[2] or '' }
