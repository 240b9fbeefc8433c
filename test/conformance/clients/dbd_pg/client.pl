# DBD::Pg: DBI on libpq, prepared on the server, COPY, notifications, large objects.

use strict;
use warnings;
use utf8;
use DBI;
use DBD::Pg qw(:pg_types :async);
use Digest::SHA;
use JSON::PP;
use Time::HiRes qw(sleep);

my $limit_seconds = 20;
my $rows          = 100_000;
my $json          = JSON::PP->new->utf8->canonical->allow_nonref;
$| = 1;

sub dial {
    my $source = "dbi:Pg:host=$ENV{CONFORMANCE_HOST};port=$ENV{CONFORMANCE_PORT};dbname=$ENV{CONFORMANCE_DATABASE};";
    $source .= $ENV{CONFORMANCE_TLS} eq 'on' ? "sslmode=verify-full;sslrootcert=$ENV{CONFORMANCE_CA}" : 'sslmode=disable';
    return DBI->connect($source, $ENV{CONFORMANCE_USER}, $ENV{CONFORMANCE_PASSWORD},
        { AutoCommit => 1, RaiseError => 1, PrintError => 0, PrintWarn => 0, @_ });
}

# What an error says, as far as the driver tells it.
sub failure {
    my ($dbh, $work) = @_;
    eval { $work->(); 1 } and die "an error was expected\n";
    return [$dbh->state, $dbh->errstr, $dbh->pg_error_field('detail'), $dbh->pg_error_field('hint'),
        $dbh->pg_error_field('statement_position'), $dbh->pg_error_field('constraint')];
}

sub digest {
    my $sum = Digest::SHA->new(256);
    for my $line (@_) { my $bytes = $line; utf8::encode($bytes); $sum->add($bytes, "\n") }
    return @_ . ' ' . substr $sum->hexdigest, 0, 16;
}

my @checks = (
    connect => sub {
        my $dbh = dial();
        return [$dbh->{pg_server_version}, $dbh->{pg_protocol}, $dbh->ping, $dbh->pg_ping,
            $dbh->{pg_pid} == $dbh->selectrow_array('select pg_backend_pid()') ? 'own pid' : 'another pid',
            $dbh->{pg_standard_conforming_strings}, $dbh->{pg_enable_utf8}];
    },
    simple => sub {
        my $dbh = dial();
        my $all = $dbh->selectall_arrayref(
            "select 1, 2.50::numeric, null::text, 'ünï 😀', true, array[1,null], '\\x00ff'::bytea, '{\"a\":[1]}'::jsonb");
        my $sth = $dbh->prepare('select 1 as one, null as nothing', { pg_server_prepare => 0 });
        $sth->execute;
        return [$all, $dbh->do('create temporary table t (n int); insert into t values (1), (2)'),
            $sth->{NAME}, $sth->{pg_type}, $sth->fetchall_arrayref, $dbh->do('')];
    },
    prepared => sub {
        my $dbh = dial(pg_switch_prepared => 1);
        my $sth = $dbh->prepare(q{select ?::int + 1, ? || '!'});
        my @seen;
        for my $n (0 .. 4) { $sth->execute($n, $n == 3 ? undef : "ünï $n"); push @seen, $sth->fetchrow_arrayref->[0], $sth->fetch }
        push @seen, $sth->{pg_prepare_now}, $dbh->selectall_arrayref('select statement from pg_prepared_statements order by 1');
        push @seen, failure($dbh, sub { $dbh->prepare('select nothing', { pg_prepare_now => 1 }) });
        return \@seen;
    },
    binary => sub {
        my $dbh   = dial();
        my $bytes = join '', map { chr } 0 .. 255;
        my $sth   = $dbh->prepare('select ?::bytea, octet_length(?::bytea)');
        $sth->bind_param($_, $bytes, { pg_type => PG_BYTEA }) for 1, 2;
        $sth->execute;
        my $row = $sth->fetchrow_arrayref;
        return [$row->[0] eq $bytes ? 'the same' : 'another', $row->[1]];
    },
    batch => sub {
        my $dbh = dial(AutoCommit => 0);
        $dbh->do('create temporary table t (n int primary key, line text)');
        my $sth  = $dbh->prepare('insert into t values (?, ?)');
        my $done = $sth->execute_array({}, [1 .. 500], [map { "line $_ ünï" } 1 .. 500]);
        my @status;
        $dbh->pg_savepoint('here');
        my $failed = eval { $sth->execute_array({ ArrayTupleStatus => \@status }, [501, 1], ['x', 'x']) };
        $dbh->pg_rollback_to('here');
        return [$done, $failed, $status[0], $status[1][2], $dbh->selectrow_array('select count(*) from t')];
    },
    transaction => sub {
        my $dbh = dial(AutoCommit => 0);
        $dbh->do('create temporary table t (n int) on commit preserve rows');
        $dbh->commit;
        my @seen = $dbh->ping;
        $dbh->do('insert into t values (1)');
        $dbh->pg_savepoint('here');
        push @seen, failure($dbh, sub { $dbh->do('select 1/0') }), $dbh->ping;
        push @seen, failure($dbh, sub { $dbh->do('select 1') });
        $dbh->pg_rollback_to('here');
        $dbh->do('insert into t values (?)', undef, 2);
        $dbh->commit;
        $dbh->do('insert into t values (3)');
        $dbh->rollback;
        return [@seen, $dbh->selectcol_arrayref('select n from t order by n'), $dbh->ping];
    },
    copy_in => sub {
        my $dbh = dial();
        $dbh->do('create temporary table loaded (n int, line text)');
        $dbh->do('copy loaded from stdin');
        $dbh->pg_putcopydata("$_\tline $_ ünï\n") for 0 .. $rows - 1;
        my @seen = $dbh->pg_putcopyend;
        push @seen, $dbh->selectrow_arrayref("select count(*), sum(n), md5(string_agg(line, ',' order by n)) from loaded");
        $dbh->do('copy loaded from stdin');
        $dbh->pg_putcopydata("no number\tx\n");
        push @seen, failure($dbh, sub { $dbh->pg_putcopyend });
        return [@seen, $dbh->selectrow_array('select count(*) from loaded')];
    },
    copy_out => sub {
        my $dbh = dial();
        $dbh->do("copy (select n, 'line ünï ' || n from generate_series(1, $rows) n) to stdout");
        my ($line, @lines) = '';
        push @lines, $line while $dbh->pg_getcopydata($line) >= 0;
        return [digest(@lines), $dbh->selectrow_array("select 'usable'")];
    },
    cursor => sub {
        my $dbh = dial(AutoCommit => 0);
        $dbh->do('declare parts cursor for select n from generate_series(1, 10000) n');
        my @numbers;
        while (my @part = @{ $dbh->selectcol_arrayref('fetch 700 from parts') }) { push @numbers, @part }
        $dbh->rollback;
        return digest(@numbers);
    },
    notify => sub {
        my ($listener, $speaker) = (dial(), dial());
        $listener->do('listen conformance_dbd_pg');
        $speaker->do(q{notify conformance_dbd_pg, 'ünï'});
        $speaker->do('notify conformance_dbd_pg');
        my (@heard, $waited);
        while (@heard < 2 and ($waited += 0.05) < 5) {
            my $one = $listener->pg_notifies or sleep(0.05), next;
            push @heard, [$one->[0], $one->[1] == $speaker->{pg_pid} ? 'the speaker' : 'another', $one->[2]];
        }
        return \@heard;
    },
    cancel => sub {
        my $dbh = dial();
        my $sth = $dbh->prepare('select pg_sleep(30)', { pg_async => PG_ASYNC });
        $sth->execute;
        sleep 0.5;
        my @seen = ($dbh->pg_ready, $dbh->pg_cancel);
        push @seen, $dbh->state, $dbh->selectrow_array("select 'usable'");
        # By an alarm in a blocking call, as Perl programs limit their queries.
        my $other = dial();
        my $pid   = $dbh->{pg_pid};
        my $child = fork;
        if ($child == 0) {
            $_->{AutoInactiveDestroy} = $_->{InactiveDestroy} = 1 for $dbh, $other, $sth;
            sleep 0.5;
            dial()->do('select pg_cancel_backend(?)', undef, $pid);
            require POSIX;
            POSIX::_exit(0);
        }
        push @seen, failure($dbh, sub { $dbh->do('select pg_sleep(30)') });
        waitpid $child, 0;
        return [@seen, $dbh->selectrow_array("select 'usable again'")];
    },
    notices => sub {
        my @heard;
        my $dbh = dial(PrintWarn => 1);
        local $SIG{__WARN__} = sub { push @heard, $_[0] =~ s/ at \S+ line \d+\.$//r };
        $dbh->do(q{do $$ begin raise notice 'ünï'; raise warning 'w'; end $$});
        $dbh->selectall_arrayref('select speak(?)', undef, 'DBD::Pg');
        return \@heard;
    },
    many => sub {
        my @all     = map { dial() } 1 .. 10;
        my @answers = map { $all[$_]->selectrow_array('select ? * 2', undef, $_) } 0 .. 9;
        my %pids    = map { $_->{pg_pid} => 1 } @all;
        return [@answers, scalar keys %pids];
    },
    errors => sub {
        my $dbh = dial();
        $dbh->do('create temporary table things (id int constraint one_id primary key)');
        $dbh->do('insert into things values (1)');
        return [
            failure($dbh, sub { $dbh->do('insert into things values (?)', undef, 1) }),
            map { my $text = $_; failure($dbh, sub { $dbh->do($text) }) } (
                "select 'ünï' from things whre true",
                'select nothing from things',
                q{do $$ begin raise exception 'x' using errcode = 'AB123', detail = 'd', hint = 'h'; end $$},
            )
        ];
    },
    large_objects => sub {
        my $dbh     = dial(AutoCommit => 0);
        my $content = join '', map { chr($_ % 256) } 0 .. 500_000;
        my $oid     = $dbh->pg_lo_creat($dbh->{pg_INV_WRITE} | $dbh->{pg_INV_READ});
        my $object  = $dbh->pg_lo_open($oid, $dbh->{pg_INV_WRITE} | $dbh->{pg_INV_READ});
        my @seen    = ($dbh->pg_lo_write($object, $content, length $content), $dbh->pg_lo_lseek($object, 1000, 0));
        push @seen, $dbh->pg_lo_read($object, my $back, 1_000_000), $dbh->pg_lo_tell($object);
        push @seen, $back eq substr($content, 1000) ? 'the same' : 'another', $dbh->pg_lo_close($object), $dbh->pg_lo_unlink($oid);
        $dbh->commit;
        return \@seen;
    },
);

my $libpq = dial()->{pg_lib_version};
print $json->encode({ client => 'DBD::Pg', version => "$DBD::Pg::VERSION libpq " . int($libpq / 10000) . '.' . $libpq % 10000 }), "\n";
while (my ($name, $work) = splice @checks, 0, 2) {
    my $line = eval {
        local $SIG{ALRM} = sub { die "longer than $limit_seconds s\n" };
        alarm $limit_seconds;
        my $seen = $work->();
        alarm 0;
        { check => $name, result => 'ok', detail => $json->latin1(0)->utf8(0)->encode($seen) };
    } || { check => $name, result => 'failed', detail => "$@" };
    alarm 0;
    print $json->utf8(1)->encode($line), "\n";
}
