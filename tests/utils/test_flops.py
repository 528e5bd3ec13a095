"""Operations of forward and backward passes."""

import torch

from hf_peft_compare.utils.flops import FlopCounter


def test_a_product_of_matrices_takes_two_operations_per_entry_and_term_and_twice_that_backward():
    a, b = torch.ones(3, 5, requires_grad=True), torch.ones(5, 7, requires_grad=True)
    with FlopCounter() as forward:
        product = a @ b
    with FlopCounter() as backward:
        product.sum().backward()
    assert (forward.num_flops, backward.num_flops) == (2 * 3 * 5 * 7, 2 * 2 * 3 * 5 * 7)


def test_the_fused_attention_of_a_cpu_is_counted():
    query = torch.ones(2, 4, 16, 8)  # rows, heads, columns, width
    with FlopCounter() as counter:
        torch.nn.functional.scaled_dot_product_attention(query, query, query)
    assert counter.num_flops == 2 * (2 * 2 * 4 * 16 * 16 * 8)  # queries by keys, weights by values


def test_operations_without_products_count_nothing():
    with FlopCounter() as counter:
        torch.ones(4) + torch.ones(4)
    assert counter.num_flops == 0
