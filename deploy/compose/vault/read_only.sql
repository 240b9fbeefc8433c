CREATE ROLE "{{name}}" LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}';
GRANT shop_reader TO "{{name}}";
ALTER ROLE "{{name}}" SET default_transaction_read_only = on;
