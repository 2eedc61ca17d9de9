-- Lets the database say something else of its keys, if it says what was thought before.

local stored = field(deployment, 'sealing')
if (stored or '') ~= (given.before or '') and (stored or '') ~= (given.after or '') then
  return { 'moved' }
end
put(deployment, { sealing = given.after })
return { 'done' }
