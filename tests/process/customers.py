"""The head of a process that reads customers with a protected field: the tests put the steps behind it."""

CUSTOMERS = """\
apiVersion: dative/v1
kind: Process
metadata: {name: demo}
spec:
  connections: {crm: salesforce, erp: database}
  source:
    id: read
    salesforce.query: {connection: crm, object: Account, fields: [Id, Name, Phone]}
  classify: {phi: [Phone]}
  steps:
"""
