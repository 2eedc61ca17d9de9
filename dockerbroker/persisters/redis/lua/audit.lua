-- The audit log. What a record tells comes from the caller with its SHA-256; its place is given here, so that
-- no two callers ever have to agree.

-- The message schedule of the block that two hashes are.
local function schedule(previous, digest)
  local ror, rshift, bxor = bit.ror, bit.rshift, bit.bxor
  local text, words = previous .. digest, {}
  for i = 1, 16 do
    words[i] = tonumber(string.sub(text, 8 * i - 7, 8 * i), 16)
  end
  for i = 17, 64 do
    local a, b = words[i - 15], words[i - 2]
    local first = bxor(ror(a, 7), ror(a, 18), rshift(a, 3))
    local second = bxor(ror(b, 17), ror(b, 19), rshift(b, 10))
    words[i] = bit.tobit(words[i - 16] + first + words[i - 7] + second)
  end
  return words
end

-- One block of SHA-256 (FIPS 180-4, section 6.2.2); without words it is the padding after 64 bytes, whose
-- words are added to the constants already.
local function compress(hash, constants, words)
  local ror, bxor, band, tobit = bit.ror, bit.bxor, bit.band, bit.tobit
  local a, b, c, d, e, f, g, h = unpack(hash)
  for i = 1, 64 do
    local one = h + bxor(ror(e, 6), ror(e, 11), ror(e, 25)) + bxor(g, band(e, bxor(f, g))) + constants[i]
    one = one + (words and words[i] or 0)
    local two = bxor(ror(a, 2), ror(a, 13), ror(a, 22)) + bxor(band(a, bxor(b, c)), band(b, c))
    h, g, f, e, d, c, b, a = g, f, e, tobit(d + one), c, b, a, tobit(one + two)
  end
  local after = { a, b, c, d, e, f, g, h }
  for i = 1, 8 do
    after[i] = tobit(hash[i] + after[i])
  end
  return after
end

-- The SHA-256 of the 64 bytes that two hashes are, in hexadecimal digits.
local function chained(previous, digest)
  local constants = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
  }
  local padded = {
    0xc28a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf374,
    0x649b69c1, 0xf0fe4786, 0x0fe1edc6, 0x240cf254, 0x4fe9346f, 0x6cc984be, 0x61b9411e, 0x16f988fa,
    0xf2c65152, 0xa88e5a6d, 0xb019fc65, 0xb9d99ec7, 0x9a1231c3, 0xe70eeaa0, 0xfdb1232b, 0xc7353eb0,
    0x3069bad5, 0xcb976d5f, 0x5a0f118f, 0xdc1eeefd, 0x0a35b689, 0xde0b7a04, 0x58f4ca9d, 0xe15d5b16,
    0x007f3e86, 0x37088980, 0xa507ea32, 0x6fab9537, 0x17406110, 0x0d8cd6f1, 0xcdaa3b6d, 0xc0bbbe37,
    0x83613bda, 0xdb48a363, 0x0b02e931, 0x6fd15ca7, 0x521afaca, 0x31338431, 0x6ed41a95, 0x6d437890,
    0xc39c91f2, 0x9eccabbd, 0xb5c9a0e6, 0x532fb63c, 0xd2c741c6, 0x07237ea3, 0xa4954b68, 0x4c191d76,
  }
  local hash = {
    0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
  }
  hash = compress(compress(hash, constants, schedule(previous, digest)), padded)
  for i = 1, 8 do
    hash[i] = bit.tohex(hash[i])
  end
  return table.concat(hash)
end

-- Writes the records of a change; of each the hash of the one before it stands first, then its own,
-- its id, and what it tells.
local function audit(entries)
  local head = redis.call('HMGET', base .. 'audit_head', 'number', 'hash')
  local number, last = tonumber(head[1] or '0'), head[2] or string.rep('0', 64)
  for _, entry in ipairs(entries or {}) do
    local own = chained(last, entry.digest)
    number = number + 1
    local text = last .. own .. entry.id .. ' ' .. entry.content
    redis.call('HSET', base .. 'audit', string.format('%.0f', number), text)
    last = own
  end
  if entries and entries[1] then
    redis.call('HSET', base .. 'audit_head', 'number', string.format('%.0f', number), 'hash', last)
  end
end
