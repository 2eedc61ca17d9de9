-- Finds on which hosts the instances of a neighbourhood are.

local flat, hosts = redis.call('HGETALL', key('neighbourhood', given.id)), {}
for i = 2, #flat, 2 do
  -- One that moves is on two.
  for host in string.gmatch(flat[i], '[^\n]+') do
    hosts[#hosts + 1] = host
  end
end
return { 'found', hosts }
