CREATE ROLE "{{name}}" LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}';
GRANT shop_owner TO "{{name}}";
-- Tables that it makes belong to shop_owner, and so to everybody who is to use them.
ALTER ROLE "{{name}}" SET role = 'shop_owner';
