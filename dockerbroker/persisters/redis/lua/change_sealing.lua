-- Lets the database say something else of its keys, if it says what was thought before.

local stored = field(deployment, 'sealing') or ''
if stored ~= (given.before or '') then
  return { stored == (given.after or '') and 'done' or 'moved' }
end
put(deployment, { sealing = given.after })
audit(given.audit)
return { 'done' }
