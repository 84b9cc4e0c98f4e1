"""The resource types of our templates that moto's CloudFormation does not create, or creates without what is tested here.
Properties arrive as CloudFormation resolves them, and are kept in CREATED; cfn-lint checks their names and types."""

from __future__ import annotations

from typing import Any

from moto.cloudformation import parsing
from moto.core.common_models import CloudFormationModel
from moto.emrserverless.models import emrserverless_backends
from moto.redshift.models import redshift_backends

CREATED: dict[str, dict[str, Any]] = {}  # the properties of each resource, by its type


class Resource(CloudFormationModel):  # type: ignore[misc]
    """A resource whose properties are kept."""

    attributes: dict[str, str]

    def __init__(self, identity: str, found: dict[str, Any]) -> None:
        self.identity, self.found, self.properties = identity, found, found["Properties"]
        CREATED[found["Type"]] = self.properties

    @property
    def physical_resource_id(self) -> str:
        return self.identity

    @staticmethod
    def cloudformation_name_type() -> str:
        return ""

    @staticmethod
    def cloudformation_type() -> str:
        return ""

    @classmethod
    def has_cfn_attr(cls, attr: str) -> bool:
        return True

    def get_cfn_attribute(self, name: str) -> str:
        return self.attributes[name]

    def is_created(self) -> bool:
        return True

    def delete(self, account: str, region: str) -> None:
        del CREATED[self.found["Type"]]


def _arn(service: str, account: str, region: str, rest: str) -> str:
    return f"arn:aws:{service}:{region}:{account}:{rest}"


class Namespace(Resource, CloudFormationModel):  # type: ignore[misc]
    """AWS::RedshiftServerless::Namespace, a service that moto does not have."""

    @staticmethod
    def cloudformation_type() -> str:
        return "AWS::RedshiftServerless::Namespace"

    @classmethod
    def create_from_cloudformation_json(
        cls, name: str, found: Any, account: str, region: str, **more: Any
    ) -> Namespace:
        return cls(found["Properties"]["NamespaceName"], found)


class Workgroup(Resource, CloudFormationModel):  # type: ignore[misc]
    """AWS::RedshiftServerless::Workgroup."""

    @staticmethod
    def cloudformation_type() -> str:
        return "AWS::RedshiftServerless::Workgroup"

    @classmethod
    def create_from_cloudformation_json(
        cls, name: str, found: Any, account: str, region: str, **more: Any
    ) -> Workgroup:
        made = cls(found["Properties"]["WorkgroupName"], found)
        address = f"{made.identity}.{account}.{region}.redshift-serverless.amazonaws.com"
        arn = _arn("redshift-serverless", account, region, "workgroup/0abc")
        # Within Fn::Sub, moto asks for the part of an attribute before its second dot.
        made.attributes = {"Workgroup": address, "Workgroup.WorkgroupArn": arn}
        return made

    @classmethod
    def update_from_cloudformation_json(
        cls,
        original_resource: Any,
        new_resource_name: str,
        cloudformation_json: Any,
        account_id: str,
        region_name: str,
    ) -> Workgroup:
        return cls.create_from_cloudformation_json(
            new_resource_name, cloudformation_json, account_id, region_name
        )


class Cluster(Resource, CloudFormationModel):  # type: ignore[misc]
    """AWS::Redshift::Cluster in moto's Redshift, with its name, tags, roles and deletion policy."""

    @staticmethod
    def cloudformation_type() -> str:
        return "AWS::Redshift::Cluster"

    @classmethod
    def create_from_cloudformation_json(
        cls, name: str, found: Any, account: str, region: str, **more: Any
    ) -> Cluster:
        made, asked = cls(found["Properties"]["ClusterIdentifier"], found), found["Properties"]
        group = asked.get("ClusterSubnetGroupName")
        cluster = redshift_backends[account][region].create_cluster(
            cluster_identifier=made.identity, node_type=asked["NodeType"], master_username=asked["MasterUsername"],
            master_user_password=None, db_name=asked["DBName"], cluster_type=asked["ClusterType"],
            cluster_security_groups=[], vpc_security_group_ids=asked.get("VpcSecurityGroupIds", []),
            cluster_subnet_group_name=group and group.cluster_subnet_group_name, availability_zone=None,
            preferred_maintenance_window=None, cluster_parameter_group_name=None,
            automated_snapshot_retention_period=asked["AutomatedSnapshotRetentionPeriod"], port=None, cluster_version=None,
            allow_version_upgrade=None, number_of_nodes=asked.get("NumberOfNodes"),
            publicly_accessible=asked["PubliclyAccessible"], encrypted=asked["Encrypted"], region_name=region,
            tags=asked["Tags"], iam_roles_arn=asked["IamRoles"],
        )  # fmt: skip
        secret = _arn(
            "secretsmanager", account, region, f"secret:redshift!{made.identity}-{asked['MasterUsername']}"
        )
        made.attributes = {"Endpoint": cluster.address, "MasterPasswordSecretArn": secret}
        return made

    @classmethod
    def update_from_cloudformation_json(
        cls,
        original_resource: Cluster,
        new_resource_name: str,
        cloudformation_json: Any,
        account_id: str,
        region_name: str,
    ) -> Cluster:
        made = cls(original_resource.identity, cloudformation_json)
        made.attributes = original_resource.attributes
        return made

    def delete(self, account: str, region: str) -> None:
        keeps = self.found["DeletionPolicy"] == "Snapshot"
        redshift_backends[account][region].delete_cluster(
            cluster_identifier=self.identity,
            skip_final_snapshot=not keeps,
            final_cluster_snapshot_identifier=f"{self.identity}-snapshot" if keeps else None,
        )
        super().delete(account, region)


class Application(Resource, CloudFormationModel):  # type: ignore[misc]
    """AWS::EMRServerless::Application in moto's EMR Serverless, which refuses to delete a started one, as AWS does."""

    @staticmethod
    def cloudformation_type() -> str:
        return "AWS::EMRServerless::Application"

    @classmethod
    def create_from_cloudformation_json(
        cls, name: str, found: Any, account: str, region: str, **more: Any
    ) -> Application:
        asked, backend = found["Properties"], emrserverless_backends[account][region]
        application = backend.create_application(
            name=asked["Name"], release_label=asked["ReleaseLabel"], application_type=asked["Type"], client_token="",
            initial_capacity={}, maximum_capacity={}, tags={}, auto_start_configuration={}, auto_stop_configuration={},
            network_configuration=None,
        )  # fmt: skip
        backend.job_runs.setdefault(application.id, [])
        made = cls(application.id, found)
        made.attributes = {"Arn": application.arn}
        return made

    @classmethod
    def update_from_cloudformation_json(
        cls,
        original_resource: Application,
        new_resource_name: str,
        cloudformation_json: Any,
        account_id: str,
        region_name: str,
    ) -> Application:
        backend = emrserverless_backends[account_id][region_name]
        backend.update_application(
            original_resource.identity, None, None, None, None, None
        )  # refuses a started one
        made = cls(original_resource.identity, cloudformation_json)
        made.attributes = original_resource.attributes
        return made

    def delete(self, account: str, region: str) -> None:
        emrserverless_backends[account][region].delete_application(self.identity)
        super().delete(account, region)


# moto looks for the direct subclasses of its model once.
for cached in (parsing.get_model_list, parsing.get_model_map, parsing.get_name_type_map):
    cached.cache_clear()
