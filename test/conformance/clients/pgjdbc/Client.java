// pgjdbc, as DBeaver, DataGrip, Liquibase and most Java programs use it. Run from source by `java`.
// The contract of such a program is in ../../README.md.

import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.io.StringReader;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.sql.BatchUpdateException;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.SQLWarning;
import java.sql.Savepoint;
import java.sql.Statement;
import java.sql.Types;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import org.postgresql.PGConnection;
import org.postgresql.PGNotification;
import org.postgresql.PGStatement;
import org.postgresql.copy.CopyManager;
import org.postgresql.copy.CopyOut;
import org.postgresql.largeobject.LargeObject;
import org.postgresql.largeobject.LargeObjectManager;
import org.postgresql.util.DriverInfo;
import org.postgresql.util.PSQLException;
import org.postgresql.util.PSQLWarning;
import org.postgresql.util.ServerErrorMessage;

public class Client {
  static final PrintStream out = new PrintStream(System.out, true, StandardCharsets.UTF_8);
  static final int ROWS = 100_000;
  static final boolean TLS = place("TLS").equals("on");

  static class Unsupported extends RuntimeException {
    Unsupported(String why) {
      super(why);
    }
  }

  public static void main(String[] arguments) throws Exception {
    out.println(object("client", "pgjdbc", "version", DriverInfo.DRIVER_VERSION));
    Map<String, Callable<Object>> checks = new LinkedHashMap<>();
    checks.put("connect", Client::connects);
    checks.put("simple", Client::simple);
    checks.put("prepared", Client::prepared);
    checks.put("binary", Client::binary);
    checks.put("batch", Client::batch);
    checks.put("transaction", Client::transaction);
    checks.put("autosave", Client::autosave);
    checks.put("copy_in", Client::copyIn);
    checks.put("copy_out", Client::copyOut);
    checks.put("cursor", Client::cursor);
    checks.put("notify", Client::notifications);
    checks.put("cancel", Client::cancel);
    checks.put("query_timeout", Client::queryTimeout);
    checks.put("notices", Client::notices);
    checks.put("many", Client::many);
    checks.put("errors", Client::errors);
    checks.put("large_objects", Client::largeObjects);
    checks.put("metadata", Client::metadata);
    checks.put("direct_tls", Client::directTls);
    // Daemons: what a check that has hung holds on to shall not hold the result back.
    ExecutorService workers =
        Executors.newCachedThreadPool(
            work -> {
              Thread thread = new Thread(work);
              thread.setDaemon(true);
              return thread;
            });
    for (Map.Entry<String, Callable<Object>> check : checks.entrySet()) {
      Future<Object> seen = workers.submit(check.getValue());
      try {
        print(check.getKey(), "ok", String.valueOf(seen.get(30, TimeUnit.SECONDS)));
      } catch (Exception wrapped) {
        Throwable error = wrapped.getCause() == null ? wrapped : wrapped.getCause();
        boolean unsupported = error instanceof Unsupported;
        if (!unsupported) error.printStackTrace();
        print(
            check.getKey(),
            unsupported ? "unsupported" : "failed",
            unsupported ? error.getMessage() : error.toString());
      }
    }
    System.exit(0);
  }

  static Object connects() throws Exception {
    try (Connection connection = open("ApplicationName", "conformance ünï", "options", "-c work_mem=5MB")) {
      List<Object> seen = rows(connection, "select current_setting('application_name'), current_setting('work_mem')");
      boolean ownPid =
          rows(connection, "select pg_backend_pid()")
              .equals(List.of(List.of(String.valueOf(pg(connection).getBackendPID()))));
      Map<String, String> parameters = pg(connection).getParameterStatuses();
      connection.setClientInfo("ApplicationName", "another");
      seen.add(connection.getClientInfo("ApplicationName"));
      seen.add(connection.getMetaData().getDatabaseProductVersion());
      seen.add(parameters.get("client_encoding") + parameters.get("DateStyle") + parameters.get("TimeZone"));
      seen.add(connection.isValid(5));
      return seen + " " + ownPid;
    }
  }

  static Object simple() throws Exception {
    try (Connection connection = open("preferQueryMode", "simple")) {
      List<Object> seen = rows(connection, everyKind());
      seen.add(rows(connection, "select current_setting('client_encoding')"));
      try (Statement statement = connection.createStatement()) {
        statement.execute("select 1; select 2 where false; create temporary table gone (); select 'last'");
        do {
          seen.add(statement.getUpdateCount());
        } while (statement.getMoreResults() || statement.getUpdateCount() != -1);
      }
      return seen;
    }
  }

  static Object prepared() throws Exception {
    List<Object> seen = new ArrayList<>();
    // By the server from the second time on, and described again when a type changes.
    try (Connection connection = open("prepareThreshold", "2");
        PreparedStatement statement =
            connection.prepareStatement("select ? + 1, ?, ?::timestamp, ?::text[], ?::bytea")) {
      for (int n = 0; n < 7; n++) {
        statement.setInt(1, n);
        if (n % 2 == 0) statement.setString(2, "ünï " + n);
        else statement.setNull(2, Types.VARCHAR);
        statement.setTimestamp(3, new java.sql.Timestamp(86_400_000L * n));
        statement.setArray(4, connection.createArrayOf("text", new String[] {"a", null, "\""}));
        statement.setBytes(5, new byte[] {0, (byte) 255});
        try (ResultSet result = statement.executeQuery()) {
          seen.addAll(read(result));
        }
        seen.add(statement.unwrap(PGStatement.class).isUseServerPrepare());
      }
      try (PreparedStatement other = connection.prepareStatement("select ? || '!'")) {
        for (int n = 0; n < 4; n++) {
          if (n < 3) other.setString(1, "t" + n);
          else other.setObject(1, "c", Types.CHAR);
          seen.addAll(read(other.executeQuery()));
        }
      }
    }
    return seen;
  }

  static Object binary() throws Exception {
    try (Connection connection = open("prepareThreshold", "-1", "binaryTransfer", "true");
        PreparedStatement statement =
            connection.prepareStatement(
                "select ?::int4, ?::int8, ?::float8, ?::bytea, '2024-02-29'::date, array[1,2]::int4[]")) {
      statement.setInt(1, -1);
      statement.setLong(2, Long.MAX_VALUE);
      statement.setDouble(3, 1.5);
      statement.setBytes(4, new byte[] {0, 1, (byte) 255});
      return read(statement.executeQuery());
    }
  }

  static Object batch() throws Exception {
    List<Object> seen = new ArrayList<>();
    for (String rewritten : List.of("false", "true")) {
      try (Connection connection = open("reWriteBatchedInserts", rewritten)) {
        run(connection, "create temporary table batch (n serial, line text constraint short check (length(line) < 60))");
        try (PreparedStatement insert = connection.prepareStatement("insert into batch (line) values (?)")) {
          seen.add(counts(batchOf(insert, 1000)));
        }
        try (PreparedStatement insert =
            connection.prepareStatement(
                "insert into batch (line) values (?)", Statement.RETURN_GENERATED_KEYS)) {
          seen.add(counts(batchOf(insert, 300)));
          ResultSet keys = insert.getGeneratedKeys();
          int sum = 0;
          while (keys.next()) sum += keys.getInt(1);
          seen.add(sum);
        }
        try (Statement several = connection.createStatement()) {
          several.addBatch("update batch set line = 'x' where n < 10");
          several.addBatch("delete from batch where n < 5");
          seen.add(Arrays.toString(several.executeBatch()));
        }
        connection.setAutoCommit(false);
        try (PreparedStatement insert = connection.prepareStatement("insert into batch (line) values (?)")) {
          for (int n = 0; n < 10; n++) {
            insert.setString(1, n == 5 ? "long".repeat(20) : "short");
            insert.addBatch();
          }
          insert.executeBatch();
        } catch (BatchUpdateException error) {
          seen.add(error.getSQLState() + Arrays.toString(error.getUpdateCounts()));
        }
        connection.rollback();
        seen.add(digest(rows(connection, "select line from batch order by n")));
        connection.rollback();
      }
    }
    return seen;
  }

  static int[] batchOf(PreparedStatement insert, int count) throws SQLException {
    for (int n = 0; n < count; n++) {
      insert.setString(1, line(n));
      insert.addBatch();
    }
    return insert.executeBatch();
  }

  /** Rewritten inserts say that they succeeded, and not how many rows each has made. */
  static String counts(int[] counts) {
    return counts.length + " of " + new HashSet<>(Arrays.stream(counts).boxed().toList());
  }

  static Object transaction() throws Exception {
    List<Object> seen = new ArrayList<>();
    try (Connection connection = open()) {
      run(connection, "create temporary table steps (n int)");
      connection.setAutoCommit(false);
      run(connection, "insert into steps values (1)");
      Savepoint here = connection.setSavepoint("here");
      seen.add(state(() -> run(connection, "select 1/0")));
      seen.add(state(() -> run(connection, "select 1")));
      connection.rollback(here);
      run(connection, "insert into steps values (2)");
      connection.commit();
      run(connection, "insert into steps values (3)");
      connection.rollback();
      run(connection, "insert into steps values (4)");
      seen.add(state(() -> run(connection, "select nothing")));
      // The server's answer is ROLLBACK.
      seen.add(state(connection::commit));
      connection.setTransactionIsolation(Connection.TRANSACTION_SERIALIZABLE);
      connection.setReadOnly(true);
      seen.add(state(() -> run(connection, "create table never ()")));
      connection.rollback();
      seen.add(rows(connection, "select n from steps order by n"));
      connection.rollback();
    }
    return seen;
  }

  /** A savepoint before each statement, and back to it after an error. */
  static Object autosave() throws Exception {
    List<Object> seen = new ArrayList<>();
    for (String mode : List.of("always", "conservative")) {
      try (Connection connection = open("autosave", mode, "cleanupSavepoints", "true", "prepareThreshold", "1")) {
        run(connection, "create temporary table steps (n int)");
        connection.setAutoCommit(false);
        run(connection, "insert into steps values (1)");
        // Conservative goes back only where the driver can run the statement again.
        if (mode.equals("always")) seen.add(state(() -> run(connection, "select 1/0")));
        seen.add(state(() -> run(connection, "insert into steps values (2)")));
        try (PreparedStatement select = connection.prepareStatement("select * from steps order by n")) {
          seen.add(read(select.executeQuery()));
          run(connection, "alter table steps add column m int");
          // "cached plan must not change result type": prepared anew behind the savepoint.
          seen.add(state(() -> seen.add(read(select.executeQuery()))));
        }
        connection.rollback();
      }
    }
    return seen;
  }

  static Object copyIn() throws Exception {
    try (Connection connection = open()) {
      run(connection, "create temporary table loaded (n int, line text)");
      StringBuilder text = new StringBuilder();
      for (int n = 0; n < ROWS; n++) text.append(n).append("\tline ").append(n).append(" ünï\n");
      CopyManager copies = pg(connection).getCopyAPI();
      long count = copies.copyIn("copy loaded from stdin", new StringReader(text.toString()));
      List<Object> seen =
          rows(connection, "select count(*), sum(n), md5(string_agg(line, ',' order by n)) from loaded");
      seen.add(state(() -> copies.copyIn("copy loaded from stdin", new StringReader("1\tfine\nno number\tx\n"))));
      var abandoned = copies.copyIn("copy loaded from stdin");
      abandoned.writeToCopy("1\tx\n".getBytes(), 0, 4);
      abandoned.cancelCopy();
      seen.add(rows(connection, "select count(*) from loaded"));
      return count + " " + seen;
    }
  }

  static Object copyOut() throws Exception {
    try (Connection connection = open()) {
      String query = "copy (select n, 'line ünï ' || n from generate_series(1, " + ROWS + ") n) to stdout";
      CopyManager copies = pg(connection).getCopyAPI();
      ByteArrayOutputStream received = new ByteArrayOutputStream();
      long count = copies.copyOut(query, received);
      CopyOut broken = copies.copyOut("copy (select 1/(3-n) from generate_series(1,5) n) to stdout");
      List<Object> seen = new ArrayList<>(List.of(count, digest(List.of(received.toString("UTF-8")))));
      seen.add(
          state(
              () -> {
                while (broken.readFromCopy() != null) seen.add("row");
              }));
      seen.add(rows(connection, "select 'usable'"));
      return seen;
    }
  }

  static Object cursor() throws Exception {
    try (Connection connection = open()) {
      connection.setAutoCommit(false);
      try (PreparedStatement statement = connection.prepareStatement("select n from generate_series(1, ?) n")) {
        statement.setFetchSize(500);
        statement.setInt(1, 10_000);
        ResultSet result = statement.executeQuery();
        List<Object> seen = new ArrayList<>();
        while (result.next()) {
          seen.add(result.getInt(1));
          // Another statement between two fetches from the portal.
          if (seen.size() == 600) run(connection, "select 1");
        }
        statement.setMaxRows(7);
        return digest(seen) + read(statement.executeQuery());
      } finally {
        connection.rollback();
      }
    }
  }

  static Object notifications() throws Exception {
    List<Object> seen = new ArrayList<>();
    try (Connection listener = open();
        Connection speaker = open()) {
      run(listener, "listen conformance_pgjdbc");
      run(speaker, "notify conformance_pgjdbc, 'to another ünï'");
      seen.add(describe(pg(listener).getNotifications(5000), speaker));
      run(listener, "notify conformance_pgjdbc, 'to itself'");
      seen.add(describe(pg(listener).getNotifications(5000), listener));
    }
    return seen;
  }

  static List<String> describe(PGNotification[] notifications, Connection from) {
    int pid = pg(from).getBackendPID();
    return Arrays.stream(notifications)
        .map(each -> each.getName() + " " + each.getParameter() + " " + (each.getPID() == pid))
        .toList();
  }

  static Object cancel() throws Exception {
    try (Connection connection = open();
        Statement statement = connection.createStatement()) {
      Thread canceller =
          new Thread(
              () -> {
                try {
                  Thread.sleep(1000);
                  statement.cancel();
                } catch (Exception error) {
                  error.printStackTrace();
                }
              });
      canceller.start();
      return timed(connection, () -> statement.execute("select pg_sleep(30)"));
    }
  }

  static Object queryTimeout() throws Exception {
    try (Connection connection = open();
        Statement statement = connection.createStatement()) {
      statement.setQueryTimeout(1);
      return timed(connection, () -> statement.execute("select pg_sleep(30)"));
    }
  }

  static Object timed(Connection connection, Work sleep) throws Exception {
    long began = System.nanoTime();
    String seen = state(sleep);
    if (System.nanoTime() - began > 6e9) throw new Exception("took longer than 6 s");
    return seen + rows(connection, "select 'usable'");
  }

  static Object notices() throws Exception {
    List<Object> seen = new ArrayList<>();
    try (Connection connection = open();
        Statement statement = connection.createStatement()) {
      String block = "do $$ begin raise notice 'ünï'; raise warning 'a warning'; end $$";
      for (String text : List.of(block, "select speak('pgjdbc')")) {
        statement.execute(text);
        for (SQLWarning each = statement.getWarnings(); each != null; each = each.getNextWarning()) {
          seen.add(fields(((PSQLWarning) each).getServerErrorMessage()));
        }
      }
    }
    return seen;
  }

  static Object many() throws Exception {
    List<Connection> connections = new ArrayList<>();
    List<Object> seen = new ArrayList<>();
    try {
      for (int n = 0; n < 10; n++) connections.add(open());
      for (Connection each : connections) {
        seen.addAll(rows(each, "select " + connections.indexOf(each) + " * 2"));
      }
      seen.add(connections.stream().map(each -> pg(each).getBackendPID()).distinct().count());
    } finally {
      for (Connection each : connections) each.close();
    }
    return seen;
  }

  static Object errors() throws Exception {
    List<Object> seen = new ArrayList<>();
    try (Connection connection = open()) {
      run(connection, "create temporary table things (id int constraint one_id primary key)");
      run(connection, "insert into things values (1)");
      for (String text :
          List.of(
              "insert into things values (1)",
              "select ünï from things whre true",
              "select nothing from things",
              "do $$ begin raise exception 'own' using errcode = 'AB123', detail = 'd', hint = 'h'; end $$")) {
        try {
          run(connection, text);
        } catch (PSQLException error) {
          seen.add(error.getSQLState() + fields(error.getServerErrorMessage()));
        }
      }
    }
    return seen;
  }

  /** By the protocol's FunctionCall. */
  static Object largeObjects() throws Exception {
    try (Connection connection = open()) {
      connection.setAutoCommit(false);
      LargeObjectManager objects = pg(connection).getLargeObjectAPI();
      long oid = objects.createLO();
      byte[] content = new byte[300_000];
      for (int n = 0; n < content.length; n++) content[n] = (byte) n;
      try (LargeObject object = objects.open(oid, LargeObjectManager.WRITE)) {
        object.write(content);
      }
      String seen;
      try (LargeObject object = objects.open(oid, LargeObjectManager.READ)) {
        object.seek(1000);
        byte[] part = object.read(10);
        seen = Arrays.toString(part) + object.tell() + " " + object.size();
        seen += " " + object.getInputStream().readAllBytes().length;
      }
      objects.delete(oid);
      connection.commit();
      return seen;
    }
  }

  /** The catalog queries behind every graphical tool. */
  static Object metadata() throws Exception {
    List<Object> seen = new ArrayList<>();
    try (Connection connection = open()) {
      run(connection, "create temporary table parent (id int primary key, line text not null default 'x')");
      run(connection, "create temporary table child (parent int references parent)");
      var data = connection.getMetaData();
      for (ResultSet result :
          List.of(
              data.getColumns(null, null, "parent", null),
              data.getPrimaryKeys(null, null, "parent"),
              data.getImportedKeys(null, null, "child"),
              data.getIndexInfo(null, null, "parent", false, true),
              data.getTables(null, "pg_temp%", "parent", null))) {
        while (result.next()) seen.add(result.getString(3) + "." + result.getString(4));
      }
      seen.add(data.getTypeInfo().next());
      seen.add(data.getFunctions(null, "public", "speak").next());
    }
    return seen;
  }

  static Object directTls() throws Exception {
    if (!TLS) throw new Unsupported("without TLS");
    try (Connection connection = open("sslNegotiation", "direct")) {
      return rows(connection, "select 1");
    }
  }

  // What the checks share.

  interface Work {
    void run() throws Exception;
  }

  static Connection open(String... more) throws SQLException {
    Properties properties = new Properties();
    properties.setProperty("user", place("USER"));
    properties.setProperty("password", place("PASSWORD"));
    properties.setProperty("loginTimeout", "10");
    properties.setProperty("socketTimeout", "25");
    properties.setProperty("sslmode", TLS ? "verify-full" : "disable");
    if (TLS) properties.setProperty("sslrootcert", place("CA"));
    for (int n = 0; n < more.length; n += 2) properties.setProperty(more[n], more[n + 1]);
    String url = "jdbc:postgresql://" + place("HOST") + ":" + place("PORT") + "/" + place("DATABASE");
    return DriverManager.getConnection(url, properties);
  }

  static PGConnection pg(Connection connection) {
    return (PGConnection) connection;
  }

  static void run(Connection connection, String text) throws SQLException {
    try (Statement statement = connection.createStatement()) {
      statement.execute(text);
    }
  }

  static List<Object> rows(Connection connection, String text) throws SQLException {
    try (Statement statement = connection.createStatement()) {
      return read(statement.executeQuery(text));
    }
  }

  static List<Object> read(ResultSet result) throws SQLException {
    List<Object> rows = new ArrayList<>();
    while (result.next()) {
      List<String> row = new ArrayList<>();
      for (int n = 1; n <= result.getMetaData().getColumnCount(); n++) {
        Object value = result.getObject(n);
        row.add(value instanceof byte[] bytes ? Arrays.toString(bytes) : result.getString(n));
      }
      rows.add(row);
    }
    return rows;
  }

  static String everyKind() {
    return "select 1 as one, 2.50::numeric(10,2) as price, null::text as nothing, 'ünï 😀' as text,"
        + " true as yes, '2024-02-29'::date as day, array[1,null,3] as list, '\\x00ff'::bytea as bytes,"
        + " 9007199254740993 as large, '{\"a\": [1]}'::jsonb as json";
  }

  static String state(Work work) throws Exception {
    try {
      work.run();
      return "fine";
    } catch (SQLException error) {
      return error.getSQLState() + " " + error.getMessage();
    }
  }

  static List<Object> fields(ServerErrorMessage message) {
    return Arrays.asList(
        message.getSeverity(),
        message.getSQLState(),
        message.getMessage(),
        message.getDetail(),
        message.getHint(),
        message.getPosition(),
        message.getConstraint(),
        message.getTable());
  }

  static String line(int n) {
    return "line " + n + " ünï \\ \t end";
  }

  static String digest(List<?> lines) throws Exception {
    MessageDigest hash = MessageDigest.getInstance("SHA-256");
    for (Object each : lines) hash.update((each + "\n").getBytes(StandardCharsets.UTF_8));
    StringBuilder text = new StringBuilder(lines.size() + " ");
    for (byte each : Arrays.copyOf(hash.digest(), 8)) text.append(String.format("%02x", each));
    return text.toString();
  }

  static String place(String name) {
    return System.getenv("CONFORMANCE_" + name);
  }

  static void print(String check, String result, String detail) {
    out.println(object("check", check, "result", result, "detail", detail));
  }

  /** Of names and texts in turn, as JSON. */
  static String object(String... words) {
    StringBuilder json = new StringBuilder("{");
    for (int n = 0; n < words.length; n++) {
      json.append(n == 0 ? "" : n % 2 == 0 ? "," : ":").append('"');
      for (char each : words[n].toCharArray()) {
        if (each == '"' || each == '\\') json.append('\\').append(each);
        else if (each < ' ') json.append(String.format("\\u%04x", (int) each));
        else json.append(each);
      }
      json.append('"');
    }
    return json.append('}').toString();
  }
}
