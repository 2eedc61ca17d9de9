-- Finds on which hosts the instances of a neighbourhood are.

local flat, hosts = redis.call('HGETALL', key('neighbourhood', given.id)), {}
for i = 2, #flat, 2 do
  hosts[#hosts + 1] = flat[i]
end
return { 'found', hosts }
