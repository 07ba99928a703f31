#!/usr/bin/env python3
"""Each check of tidy.py against small trees: one that it must refuse, one that it must let pass."""
import os
import subprocess
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True  # the tree stays as git knows it
import tidy


class Case(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)

    def tree(self, **files):
        """A tree of these files; the name's __ stands for a slash, its last _ for the dot."""
        for name, text in files.items():
            self.write('.'.join(name.replace('__', '/').rsplit('_', 1)), text)
        return tidy.Tree(self.folder.name)

    def write(self, path, text):
        path = os.path.join(self.folder.name, path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, 'w') as f:
            f.write(text)

    def findings(self, check, **files):
        return [(path, line) for path, line, _ in check(self.tree(**files))]

    def refuses(self, check, **files):
        self.assertTrue(self.findings(check, **files))

    def allows(self, check, **files):
        self.assertEqual([], self.findings(check, **files))


class Arrows(Case):
    def test_an_include_that_points_up_is_found_at_its_line(self):
        self.assertEqual([('shard/a.c', 2)], self.findings(
            tidy.check_arrows, shard__a_c='int a;\n#include <asx/proto/http1.h>\n'))

    def test_a_lower_floor_may_be_included(self):
        self.allows(tidy.check_arrows, proto__a_c='#include <asx/shard/sync/latch.h>\n')

    def test_drivers_do_not_know_each_other(self):
        self.refuses(tidy.check_arrows, reactor__a_c='#include <asx/lab/choice.h>\n')

    def test_base_does_not_include_the_kernel(self):
        self.refuses(tidy.check_arrows, shard__base__a_h='#include <asx/shard/task.h>\n')

    def test_the_codec_stands_on_base_and_its_pipelines_on_the_kernel(self):
        self.refuses(tidy.check_arrows, raptorq__solve_c='#include <asx/shard/stream.h>\n')

    def test_a_pipeline_stands_on_the_kernel(self):
        self.allows(tidy.check_arrows, raptorq__net__link_c='#include <asx/shard/stream.h>\n')

    def test_a_drawer_of_another_room_is_closed(self):
        self.refuses(tidy.check_arrows, reactor__a_c='#include <asx/shard/task_internal.h>\n')

    def test_a_drawer_of_the_same_room_is_open(self):
        self.allows(tidy.check_arrows, shard__sync__a_c='#include <asx/shard/task_internal.h>\n')

    def test_quotes_stay_in_the_folder(self):
        self.refuses(tidy.check_arrows, shard__sync__a_c='#include "../task_internal.h"\n')

    def test_a_foreign_library_has_one_home(self):
        self.refuses(tidy.check_arrows, engine__a_c='#include <openssl/ssl.h>\n')

    def test_the_home_of_a_foreign_library_knows_it(self):
        self.allows(tidy.check_arrows, proto__tls_openssl_c='#include <openssl/ssl.h>\n')

    def test_the_umbrella_is_for_users(self):
        self.refuses(tidy.check_arrows, proto__a_c='#include <asx/asx.h>\n')


class Banned(Case):
    def test_each_rule_refuses_its_functions(self):
        for rule, (names, _, _) in tidy.BANNED.items():
            for name in names:
                with self.subTest(rule=rule, name=name):
                    self.refuses(tidy.check_banned, engine__a_c=f'x = {name}(y);\n')

    def test_comments_and_strings_do_not_call(self):
        self.allows(tidy.check_banned, engine__a_c='/* free(x) */ s = "malloc(3)"; // rand()\n')

    def test_members_and_longer_names_are_others(self):
        self.allows(tidy.check_banned, engine__a_c='x->free(y); asx_time(z); asx_heap_free(h);\n')

    def test_a_rule_has_a_home(self):
        self.allows(tidy.check_banned, shard__chunk_c='p = malloc(3);\n')

    def test_drivers_read_clocks(self):
        self.allows(tidy.check_banned, reactor__epoll_c='clock_gettime(c, &t);\n')

    def test_the_kernel_reads_no_clock(self):
        self.refuses(tidy.check_banned, shard__timer_c='clock_gettime(c, &t);\n')

    def test_an_exception_is_for_one_rule_and_one_file(self):
        self.write('tests/tidy/exceptions', '# why\nheap engine/a.c hwloc frees with free\n')
        self.assertEqual([('engine/a.c', 2), ('engine/b.c', 1)], self.findings(
            tidy.check_banned, engine__a_c='free(p);\nsrand(1);\n', engine__b_c='free(p);\n'))


class Text(Case):
    def test_markers_are_found(self):
        for word in ('FIX' + 'ME', 'HA' + 'CK', 'TO' + 'DO: later'):
            with self.subTest(word=word):
                self.refuses(tidy.check_markers, shard__a_c=f'/* {word} */\n')

    def test_a_marker_with_an_issue_may_stand(self):
        self.allows(tidy.check_markers, shard__a_c='/* TO' + 'DO(#12): the second ring */\n')

    def test_a_line_at_the_limit_passes(self):
        self.allows(tidy.check_columns, shard__a_c='x' * 100 + '\n')

    def test_a_line_over_the_limit_is_refused(self):
        self.refuses(tidy.check_columns, shard__a_c='x' * 101 + '\n')

    def test_columns_are_characters(self):
        self.allows(tidy.check_columns, shard__a_c='\u00d7' * 100 + '\n')

    def test_reserved_names_are_refused(self):
        for text in ('int asx__x;', '#define __ASX_H', '#define A__B 1', 'int __asx_x;'):
            with self.subTest(text=text):
                self.refuses(tidy.check_reserved, shard__a_h=text + '\n')

    def test_using_what_the_compiler_reserves_is_allowed(self):
        self.allows(tidy.check_reserved, shard__a_h='#define A __builtin_expect(__LINE__, 1)\n')


def function(lines, name='long_one'):
    """C of a function of that many lines, signature and braces counted."""
    return f'static int {name}(int a)\n{{\n' + '    a++;\n' * (lines - 3) + '}\n'


class Lengths(Case):
    def test_seventy_lines_pass(self):
        self.allows(tidy.check_lengths, shard__a_c=function(70))

    def test_seventy_one_lines_are_refused_at_the_signature(self):
        self.assertEqual([('shard/a.c', 3)], self.findings(
            tidy.check_lengths, shard__a_c='int before;\n\n' + function(71)))

    def test_a_signature_over_two_lines_is_one(self):
        text = 'int f(int a,\n      int b)\n{\n    return a;\n}\n\nstruct s {\n    int x;\n};\n'
        self.assertEqual([('f', 1, 5)], list(tidy.functions(text)))

    def test_an_initialiser_is_no_function(self):
        self.assertEqual([], list(tidy.functions('static const int t[] =\n{\n    1,\n};\n')))

    def test_a_listed_function_may_stay_but_not_grow(self):
        self.write('tests/tidy/long_functions', '80 shard/a.c long_one\n')
        self.assertEqual([('shard/b.c', 1)], self.findings(
            tidy.check_lengths, shard__a_c=function(80), shard__b_c=function(81)))

    def test_a_listed_function_that_grew_is_refused(self):
        self.write('tests/tidy/long_functions', '80 shard/a.c long_one\n')
        self.refuses(tidy.check_lengths, shard__a_c=function(81))


class Dead(Case):
    def test_a_source_that_nobody_builds_is_refused(self):
        self.refuses(tidy.check_dead, shard__a_c='', shard__meson_build="x = files('b.c')\n")

    def test_a_listed_source_passes(self):
        self.allows(tidy.check_dead, shard__base__a_c='',
                    shard__meson_build="x = files('base/a.c')\n")


class Scripts(Case):
    def script(self, first, mode):
        self.write('tests/a.py', first + '\n')
        os.chmod(os.path.join(self.folder.name, 'tests/a.py'), mode)
        return [m for _, _, m in tidy.check_scripts(self.tree())]

    def test_one_that_runs_passes(self):
        self.assertEqual([], self.script('#!/usr/bin/env python3', 0o755))

    def test_one_that_may_not_be_executed_is_refused(self):
        self.assertIn('chmod', self.script('#!/bin/sh', 0o644)[0])

    def test_an_interpreter_that_is_nowhere_is_named(self):
        self.assertIn('/ usr / bin', self.script('#!/ usr / bin / env python3', 0o755)[0])


class Symbols(Case):
    def library(self, text):
        self.write('a.c', text)
        at = self.folder.name
        subprocess.run(['gcc', '-shared', '-fPIC', '-o', f'{at}/l.so', f'{at}/a.c'], check=True)
        subprocess.run(['gcc', '-c', '-o', f'{at}/a.o', f'{at}/a.c'], check=True)
        subprocess.run(['ar', 'rc', f'{at}/l.a', f'{at}/a.o'], check=True)
        return [m for _, _, m in tidy.check_symbols(f'{at}/l.so', f'{at}/l.a')]

    def test_our_names_pass(self):
        self.assertEqual([], self.library('int asx_a(void) { return 1; } int asx_b;\n'))

    def test_a_stranger_is_named_in_both(self):
        found = self.library('int stranger;\n')
        self.assertEqual(2, len(found))
        self.assertIn('stranger', found[0])

    def test_what_is_shared_between_files_is_not_exported(self):
        self.assertEqual(1, len(self.library('int asxi_a;\n')))

    def test_a_library_that_is_not_there_is_refused(self):
        self.assertEqual(2, len(list(tidy.check_symbols('/nowhere.so', '/nowhere.a'))))


if __name__ == '__main__':
    result = unittest.main(exit=False, verbosity=1).result
    bad = len(result.failures) + len(result.errors)
    print(f'{result.testsRun - min(bad, result.testsRun)} passed, {bad} failed')
    sys.exit(1 if bad else 0)
