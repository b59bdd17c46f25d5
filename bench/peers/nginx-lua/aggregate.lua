-- The order view with subrequests: strong parts decide the status, weak parts degrade, bytes pass.

local capture_multi = ngx.location.capture_multi
local say_bytes = ngx.print
local now = ngx.now
local format = string.format

local function part(answer)
    return answer.status == 200 and not answer.truncated and answer.body or nil
end

-- luacheck: globals aggregate
function aggregate()
    local id = ngx.var.id
    local request_id = ngx.var.http_x_request_id or ngx.var.request_id
    local order, user, inventory, coupon, recommend = capture_multi({
        { "/order/" .. id },
        { "/user/" .. id },
        { "/inventory/" .. id },
        { "/coupon/" .. id },
        { "/recommend/" .. id },
    })
    if not (part(order) and part(user) and part(inventory)) then
        return ngx.exit(order.status == 404 and 404 or 502)
    end
    local degraded = ""
    if not part(coupon) then degraded = '"coupon"' end
    if not part(recommend) then
        degraded = degraded == "" and '"recommend"' or degraded .. ',"recommend"'
    end
    local body = {
        '{"order":', order.body,
        ',"user":', user.body,
        ',"inventory":', inventory.body,
        ',"coupon":', part(coupon) or "null",
        ',"recommend":', part(recommend) or '{"items":[]}',
        ',"degraded":[', degraded,
        '],"request_id":"', request_id,
        '","served_at_ms":', format("%d", now() * 1000),
        "}",
    }
    local length = 0
    for i = 1, #body do length = length + #body[i] end
    ngx.header.content_length = length
    say_bytes(body)
end
