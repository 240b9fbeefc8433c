CREATE ROLE "{{name}}" LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}';
GRANT shop_owner, pg_monitor, pg_signal_backend TO "{{name}}";
