# frozen_string_literal: true

# Ruby's pg, as ActiveRecord and Sequel use it: libpq's asynchronous calls, pipeline mode, type maps.
# The contract of such a program is in ../../README.md.

require 'digest'
require 'json'
require 'pg'
require 'timeout'

ROWS = 100_000
SIMPLE = "select 1 as one, 2.50::numeric(10,2) as price, null::text as nothing, 'ünï 😀' as text, " \
         "true as yes, '2024-02-29'::date as day, array[1,null,3] as list, '\\x00ff'::bytea as bytes, " \
         "9007199254740993 as large, '{\"a\": [1]}'::jsonb as json"

def place(name) = ENV.fetch("CONFORMANCE_#{name}")

def connect(**more)
  tls = place('TLS') == 'on'
  ssl = tls ? { sslmode: 'verify-full', sslrootcert: place('CA') } : { sslmode: 'disable' }
  connection = PG.connect(host: place('HOST'), port: place('PORT'), dbname: place('DATABASE'),
                          user: place('USER'), password: place('PASSWORD'), connect_timeout: 10,
                          **ssl, **more)
  return connection unless block_given?

  begin
    yield connection
  ensure
    connection.finish
  end
end

FIELDS = [PG::PG_DIAG_SQLSTATE, PG::PG_DIAG_SEVERITY, PG::PG_DIAG_MESSAGE_PRIMARY,
          PG::PG_DIAG_MESSAGE_DETAIL, PG::PG_DIAG_MESSAGE_HINT, PG::PG_DIAG_STATEMENT_POSITION,
          PG::PG_DIAG_CONSTRAINT_NAME].freeze

def fields(result) = FIELDS.map { |field| result.error_field(field) }

def failure
  yield
  raise 'an error was expected'
rescue PG::Error => e
  [e.class.name, *fields(e.result)]
end

def line(number) = "line #{number} ünï \\ \t end"

def digest(lines) = "#{lines.size} #{Digest::SHA256.hexdigest(lines.join("\n"))[0, 16]}"

CHECKS = {
  connect: lambda {
    connect(application_name: 'conformance ünï', options: '-c work_mem=5MB') do |c|
      seen = c.exec("select current_setting('application_name'), current_setting('work_mem')").values
      own_pid = c.exec('select pg_backend_pid()').getvalue(0, 0).to_i == c.backend_pid
      parameters = %w[server_version client_encoding DateStyle standard_conforming_strings]
      [seen, own_pid, parameters.map { |name| c.parameter_status(name) }, c.ssl_in_use?]
    end
  },
  simple: lambda {
    connect do |c|
      result = c.exec(SIMPLE)
      kinds = result.fields.each_index.map { |n| [result.fname(n), result.ftype(n), result.fformat(n)] }
      c.send_query("select 1; select 2 where false; select 'last'")
      several = []
      while (each = c.get_result)
        several << [each.cmd_status, each.values]
      end
      [result.values, kinds, several]
    end
  },
  prepared: lambda {
    connect do |c|
      c.prepare('every', 'select $1::int + 1, $2::text, $3::text[]')
      described = c.describe_prepared('every')
      seen = (0...5).map do |n|
        c.exec_prepared('every', [n, n.odd? ? nil : "ünï #{n}", '{a,NULL,"\""}']).values
      end
      c.exec('deallocate every')
      [seen, (0...described.nparams).map { |n| described.paramtype(n) }, described.fields]
    end
  },
  binary: lambda {
    connect do |c|
      c.type_map_for_results = PG::BasicTypeMapForResults.new(c)
      parameters = [{ value: [0, 1, 255].pack('C*'), format: 1 }, { value: [7].pack('N'), type: 23, format: 1 }]
      text = "select $1::bytea as b, $2 as i, 8::int8 as l, 1.5::float8 as f, true as t, 'ünï' as text"
      row = c.exec_params(text, parameters, 1).values.first
      [row.first.bytes, *row.drop(1)]
    end
  },
  batch: lambda {
    connect do |c|
      c.exec('create temporary table batch (n int, line text)')
      c.prepare('insert', 'insert into batch values ($1, $2)')
      c.enter_pipeline_mode
      500.times { |n| c.send_query_prepared('insert', [n, line(n)]) }
      c.pipeline_sync
      done = 500.times.sum do
        result = c.get_result
        c.get_result
        result.cmd_tuples
      end
      seen = [done, c.get_result.result_status]
      # An error inside: what follows is skipped up to the sync.
      ['select 1', 'select 1/0', 'select 2'].each { |text| c.send_query_params(text, []) }
      c.pipeline_sync
      c.send_query_params('select 3', [])
      c.pipeline_sync
      6.times do
        result = c.get_result
        next seen << nil unless result

        seen << [result.result_status, result.error_field(PG::PG_DIAG_SQLSTATE)]
        c.get_result unless result.result_status == PG::PGRES_PIPELINE_SYNC
      end
      c.exit_pipeline_mode
      [seen, digest(c.exec('select line from batch order by n').column_values(0))]
    end
  },
  transaction: lambda {
    connect do |c|
      c.exec('create temporary table steps (n int)')
      c.exec('begin; insert into steps values (1); savepoint here')
      seen = ['select 1/0', 'select 1'].map { |text| [failure { c.exec(text) }, c.transaction_status] }
      c.exec('rollback to savepoint here')
      c.exec('insert into steps values (2); commit')
      seen << failure do
        c.transaction do
          c.exec('insert into steps values (3)')
          c.exec_params('select 1/$1::int', [0])
        end
      end
      [seen, c.transaction_status, c.exec('select n from steps order by n').values]
    end
  },
  copy_in: lambda {
    connect do |c|
      c.exec('create temporary table loaded (n int, line text)')
      done = c.copy_data('copy loaded from stdin') { ROWS.times { |n| c.put_copy_data("#{n}\tline #{n} ünï\n") } }
      broken = failure do
        c.copy_data('copy loaded from stdin') { ["1\tfine\n", "no number\tx\n"].each { |row| c.put_copy_data(row) } }
      end
      given_up = begin
        c.copy_data('copy loaded from stdin') { raise IOError, 'given up' }
      rescue IOError => e
        [e.message, c.transaction_status]
      end
      sums = "select count(*), sum(n), md5(string_agg(line, ',' order by n)) from loaded"
      [done.cmd_status, broken, given_up, c.exec(sums).values]
    end
  },
  copy_out: lambda {
    connect do |c|
      seen = []
      c.copy_data("copy (select n, 'line ünï ' || n from generate_series(1, #{ROWS}) n) to stdout") do
        while (row = c.get_copy_data)
          seen << row.dup.force_encoding('UTF-8')
        end
      end
      [digest(seen), c.exec("select 'usable'").values]
    end
  },
  cursor: lambda {
    connect do |c|
      c.exec('begin; declare parts cursor for select n from generate_series(1, 10000) n')
      seen = []
      until (part = c.exec('fetch 500 from parts').column_values(0)).empty?
        seen.concat(part)
      end
      c.exec('close parts; commit')
      c.send_query('select n from generate_series(1, 10000) n')
      c.set_single_row_mode
      singly = []
      c.get_result.stream_each_row { |row| singly << row.first }
      [digest(seen), digest(singly)]
    end
  },
  notify: lambda {
    connect do |listener|
      connect do |speaker|
        own = { speaker.backend_pid => 'speaker', listener.backend_pid => 'listener' }
        listener.exec('listen conformance_ruby')
        speaker.exec("notify conformance_ruby, 'to another ünï'")
        listener.exec("notify conformance_ruby, 'to itself'")
        seen = []
        2.times { listener.wait_for_notify(5) { |name, pid, payload| seen << [name, own[pid], payload] } }
        seen
      end
    end
  },
  cancel: lambda {
    connect do |c|
      began = Process.clock_gettime(Process::CLOCK_MONOTONIC)
      c.send_query('select pg_sleep(30)')
      sleep 1
      sent = c.cancel
      seen = failure { c.get_last_result }
      raise 'took longer than 5 s' if Process.clock_gettime(Process::CLOCK_MONOTONIC) - began > 6

      [sent, seen, c.exec("select 'usable'").values]
    end
  },
  notices: lambda {
    connect do |c|
      seen = []
      c.set_notice_receiver { |result| seen << fields(result) }
      c.exec("do $$ begin raise notice 'ünï'; raise warning 'a warning'; end $$")
      c.exec("select speak('ruby')")
      seen
    end
  },
  many: lambda {
    connections = 10.times.map { connect }
    answers = connections.each_with_index.map { |c, n| c.exec_params('select $1::int * 2', [n]).values }
    pids = connections.map(&:backend_pid).uniq.size
    connections.each(&:finish)
    [answers, pids]
  },
  errors: lambda {
    connect do |c|
      c.exec('create temporary table things (id int constraint one_id primary key); insert into things values (1)')
      own = "using errcode = 'AB123', detail = 'd', hint = 'h'"
      ['insert into things values (1)', 'select ünï from things whre true', 'select nothing from things',
       "do $$ begin raise exception 'own' #{own}; end $$"].flat_map do |text|
        [failure { c.exec(text) }, failure { c.exec_params(text, []) }]
      end
    end
  },
  # By the protocol's FunctionCall, in libpq.
  large_objects: lambda {
    connect do |c|
      c.transaction do
        oid = c.lo_create(0)
        object = c.lo_open(oid, PG::INV_READ | PG::INV_WRITE)
        written = c.lo_write(object, '0123456789' * 30_000)
        position = c.lo_lseek(object, 995, PG::SEEK_SET)
        seen = [written, position, c.lo_read(object, 10), c.lo_tell(object)]
        c.lo_close(object)
        c.lo_unlink(oid)
        seen
      end
    end
  }
}.freeze

$stdout.sync = true
puts JSON.generate(client: 'ruby-pg', version: "#{PG::VERSION} libpq #{PG.library_version}")
CHECKS.each do |check, work|
  puts JSON.generate(check:, result: 'ok', detail: JSON.generate(Timeout.timeout(30) { work.call }))
rescue StandardError => e
  warn e.full_message
  puts JSON.generate(check:, result: 'failed', detail: "#{e.class}: #{e.message}".strip)
end
